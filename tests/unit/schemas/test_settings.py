"""Settings: from the environment given and from secret files; a wrong one stops the start with one sentence."""

from pathlib import Path

import pytest

from schemas import settings_table
from schemas.errors import ConfigurationError
from schemas.settings import Settings, kafka_options, load
from schemas.topics import OVERAGE


def test_the_defaults_are_a_working_local_set() -> None:
    """Nothing must be set on a developer's machine."""
    settings = load({})
    assert settings.kafka_bootstrap == "127.0.0.1:9092"
    assert settings.topic(OVERAGE) == "billing.overage.v1"
    assert kafka_options(settings)["bootstrap_servers"] == ["127.0.0.1:9092"]


def test_values_come_from_the_environment_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """And from no other: the process's own counts only where none is given."""
    monkeypatch.setenv("FUSION_TOPIC_PARTITIONS", "9")
    monkeypatch.setenv("FUSION_ODOO_DB", "elsewhere")
    assert load({"FUSION_TOPIC_PARTITIONS": "12"}).topic_partitions == 12
    assert load({}).odoo_db == "odoo"
    assert load().topic_partitions == 9
    assert load({"FUSION_ODOO_DB": "a"}, odoo_db="b").odoo_db == "b"


def test_an_empty_prefix_and_a_trailing_slash_are_fine() -> None:
    """Both are what people write."""
    settings = load(
        {"FUSION_TOPIC_PREFIX": "", "FUSION_ODOO_URL": "https://erp.example/", "FUSION_KAFKA_SSL_CAFILE": ""}
    )
    assert settings.topic(OVERAGE) == "overage.v1"
    assert settings.odoo_url == "https://erp.example"
    assert "ssl_cafile" not in kafka_options(settings)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TOPIC_PARTITIONS", "many", "valid integer"),
        ("TOPIC_PARTITIONS", "0", "greater than or equal to 1"),
        ("GATEWAY_PORT", "70000", "less than or equal to 65535"),
        ("ODOO_TIMEOUT_S", "0", "greater than 0"),
        ("ODOO_TIMEOUT_S", "inf", "finite"),
        ("ODOO_URL", "erp.example", "match pattern"),
        ("ODOO_URL", "https://erp.example/web", "match pattern"),
        ("TOPIC_PREFIX", "a/b", "match pattern"),
        ("LOG_FORMAT", "xml", "'json' or 'console'"),
        ("WEBHOOK_ALLOW_PRIVATE", "perhaps", "boolean"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "'PLAINTEXT', 'SSL'"),
    ],
)
def test_a_wrong_value_is_one_sentence(name: str, value: str, sentence: str) -> None:
    """It names the variable, what would be right and what is there."""
    with pytest.raises(ConfigurationError) as caught:
        load({f"FUSION_{name}": value})
    text = str(caught.value)
    assert text.startswith(f"FUSION_{name}: ")
    assert sentence in text
    assert text.endswith(f"(got {value!r})")
    assert "\n" not in text


def test_the_log_must_outlive_the_longest_period() -> None:
    """Both variables are named."""
    with pytest.raises(
        ConfigurationError, match="FUSION_USAGE_RETENTION_DAYS is 62, must exceed FUSION_LONGEST_PERIOD"
    ):
        load({"FUSION_USAGE_RETENTION_DAYS": "62"})
    assert load({"FUSION_USAGE_RETENTION_DAYS": "63"}).usage_retention_days == 63


def test_sasl_is_set_as_a_whole() -> None:
    """The first variable that is missing is named."""
    environment = {"FUSION_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    for name, value in (("MECHANISM", "SCRAM-SHA-512"), ("USERNAME", "billing"), ("PASSWORD", "s3cret")):
        with pytest.raises(ConfigurationError, match=f"FUSION_KAFKA_SASL_{name} must be set"):
            load(environment)
        environment[f"FUSION_KAFKA_SASL_{name}"] = value
    options = kafka_options(load(environment))
    assert [options["sasl_mechanism"], options["sasl_plain_username"], options["sasl_plain_password"]] == [
        "SCRAM-SHA-512",
        "billing",
        "s3cret",
    ]


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """The trailing newline that every editor leaves does not belong to the secret; the file wins."""
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    settings = load({"FUSION_ODOO_PASSWORD_FILE": str(path), "FUSION_ODOO_PASSWORD": "other"})
    assert settings.odoo_password.get_secret_value() == "s3cret"


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8 text")])
def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, why: str) -> None:
    """The variable and the path."""
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"FUSION_ODOO_PASSWORD_FILE: cannot read .*password \({why}"):
        load({"FUSION_ODOO_PASSWORD_FILE": str(path)})


def test_no_secret_is_shown() -> None:
    """Neither printed with the settings nor in a complaint about one."""
    assert "s3cret" not in repr(load({"FUSION_ODOO_PASSWORD": "s3cret", "FUSION_SECRET_KEY": "s3cret"}))
    with pytest.raises(ConfigurationError) as caught:
        load({}, odoo_password=["s3cret"])
    assert "s3cret" not in str(caught.value)


def test_settings_do_not_change() -> None:
    """Read once, at the start."""
    with pytest.raises(ValueError, match="frozen"):
        load({}).topic_partitions = 5  # type: ignore[misc]


def test_the_table_names_every_setting_with_its_meaning() -> None:
    """One row each; a setting without a description cannot be added."""
    rows = [line for line in settings_table.render().splitlines() if line.startswith("| `FUSION_")]
    assert [row.split("`")[1] for row in rows] == [f"FUSION_{name.upper()}" for name in Settings.model_fields]
    assert "| `FUSION_GATEWAY_PORT` | `8080` | whole number ≥ 1 ≤ 65535 | port to listen on |" in rows
    assert "| `FUSION_SECRET_KEY` | none | secret |" in "\n".join(rows)
    assert all(field.description for field in Settings.model_fields.values())
