"""The messages' documents are true: golden examples load, bad ones are refused by model and JSON Schema alike."""

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from deploy.cli import app
from deploy.local.settings import REPOSITORY
from schemas import derived, documents, events, usage
from schemas.catalog import CatalogEntry
from schemas.errors import Reason, Refused
from schemas.messages import DIALECT, MESSAGES, Message, json_schema
from schemas.usage import UsageBatch
from schemas.wire import decode_batch, encode_batch, to_counters
from tests.unit.schemas.strategies import INSTANCES

EXAMPLES = REPOSITORY / "schemas" / "examples"
BY_NAME = {message.name: message for message in MESSAGES}
VALIDATORS: dict[str, Any] = {
    message.name: jsonschema.Draft202012Validator(json_schema(message)) for message in MESSAGES
}
# JSON Schema counts characters, not bytes, compares no two fields, and sees neither JSON text nor dates.
BEYOND_JSON_SCHEMA = {
    "malformed_batch--not_json",
    "malformed_batch--nan",
    "malformed_batch--service_twice",
    "malformed_batch--short_column",
    "bad_subscription--150_letters_of_two_bytes",
    "bad_metric--index_outside",
    "bad_quantity--31_digits",
    "bad_quantity--19_places",
    "bad_quantity--1e400",
    "bad_quantity--absurd_exponent",
    "bad_quantity--twice",
    "bad_period--no_such_day",
    "bad_period--end_before_start",
    "bad_period--year_1",
    "bad_properties--lone_surrogate",
    "anchor--text",
}


def _examples(folder: str) -> list[pytest.param]:  # type: ignore[valid-type]
    paths = sorted(EXAMPLES.glob(f"*/*/{folder}*.json"))
    return [pytest.param(path, id=str(path.relative_to(EXAMPLES).with_suffix(""))) for path in paths]


def _message_of(path: Path) -> Message:
    return BY_NAME[path.relative_to(EXAMPLES).parts[0]]


def test_the_committed_documents_are_those_of_the_models() -> None:
    """Whoever changes a model writes the documents anew."""
    differing = documents.differences(REPOSITORY)
    assert not differing, f"run `fusion-billing schemas write` and commit {', '.join(differing)}"


def test_a_changed_a_missing_and_a_leftover_document_are_found_and_mended(tmp_path: Path) -> None:
    """The drift check itself: it names each of the three, and writing mends them."""
    documents.write(tmp_path)
    assert documents.differences(tmp_path) == []
    folder = tmp_path / documents.GENERATED
    (folder / "total.v1.json").write_text("{}")
    (folder / "line.v1.json").unlink()
    (folder / "gone.v1.json").write_text("{}")
    expected = [f"{documents.GENERATED}/{name}.v1.json" for name in ("gone", "line", "total")]
    assert documents.differences(tmp_path) == expected
    assert documents.write(tmp_path) == expected
    assert documents.differences(tmp_path) == []


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    """`fusion-billing schemas check` exits with 3 and names what differs, until `write` was called."""
    runner, root = CliRunner(), ["--root", str(tmp_path)]
    before = runner.invoke(app, ["schemas", "check", *root])
    assert (before.exit_code, before.stdout.split()) == (3, documents.differences(tmp_path))
    assert runner.invoke(app, ["schemas", "write", *root]).exit_code == 0
    assert runner.invoke(app, ["schemas", "check", *root]).exit_code == 0


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_every_message_has_a_schema_of_its_dialect_and_golden_examples(message: Message) -> None:
    """No message without a valid JSON Schema, a good example and a bad one."""
    jsonschema.Draft202012Validator.check_schema(json_schema(message))
    assert json_schema(message)["$schema"] == DIALECT
    for version in range(1, message.version + 1):
        folder = EXAMPLES / message.name / str(version)
        assert list(folder.glob("*.json")), f"no golden example in {folder}"
        assert list(folder.glob("invalid/*.json")), f"no invalid example in {folder}"


def test_every_record_that_a_model_describes_is_a_message() -> None:
    """A model that says it is the value of a topic cannot be left out of the documents."""
    models = [model for module in (usage, derived, events) for model in vars(module).values()]
    records = {
        model
        for model in models
        if isinstance(model, type) and issubclass(model, BaseModel) and (model.__doc__ or "").startswith("Value of")
    }
    of_the_catalog = get_args(get_args(CatalogEntry)[0])
    assert records | set(of_the_catalog) == {message.model for message in MESSAGES}


def test_every_example_belongs_to_a_message() -> None:
    """A misspelt folder would be checked by nobody."""
    assert {path.name for path in EXAMPLES.iterdir()} == set(BY_NAME)
    assert {path.stem for path in EXAMPLES.rglob("invalid/*.json")} >= BEYOND_JSON_SCHEMA


@pytest.mark.parametrize("path", _examples(""))
def test_a_golden_example_loads(path: Path) -> None:
    """Today's readers take every message that was ever published."""
    message, text = _message_of(path), path.read_bytes()
    VALIDATORS[message.name].validate(json.loads(text))
    if message.name == "usage_batch":
        columns, refused = decode_batch(text)
        assert len(columns) >= 1
        assert refused == []
    else:
        loaded = message.model.model_validate_json(text)
        again = loaded.model_dump_json()
        assert message.model.model_validate_json(again) == loaded


@pytest.mark.parametrize("path", _examples("invalid/"))
def test_an_invalid_example_is_refused_for_its_reason(path: Path) -> None:
    """The file's name says why; the model finds that, and the JSON Schema refuses it where it can tell."""
    message, text = _message_of(path), path.read_bytes()
    expected = path.stem.partition("--")[0]
    if message.name == "usage_batch":
        assert _refusal(text) == expected
    else:
        with pytest.raises(ValidationError) as caught:
            message.model.model_validate_json(text)
        assert [str(error["loc"][0]) for error in caught.value.errors()] == [expected]
    if path.stem not in BEYOND_JSON_SCHEMA:
        assert not VALIDATORS[message.name].is_valid(json.loads(text))


def _refusal(value: bytes) -> Reason:
    try:
        _, refused = decode_batch(value)
    except Refused as refusal:
        return refusal.reason
    assert len(refused) == 1
    return refused[0].reason


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
@given(data=st.data())
def test_what_a_model_writes_fits_its_json_schema(message: Message, data: st.DataObject) -> None:
    """Any instance, dumped as JSON, is valid, and loads again as the same."""
    instance = data.draw(INSTANCES[message.name])
    text = instance.model_dump_json()
    VALIDATORS[message.name].validate(json.loads(text))
    if isinstance(instance, UsageBatch):
        value = encode_batch(instance.service, instance.counters or [])
        VALIDATORS[message.name].validate(json.loads(value))
        assert to_counters(decode_batch(value)[0]) == instance.counters
    else:
        assert message.model.model_validate_json(text) == instance
