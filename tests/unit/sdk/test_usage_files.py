"""Usage files: every line gets a verdict with its number, its field and a remedy."""

import io
from decimal import Decimal

import pytest

from producers.usage_files import LINE_BYTES_MAX, FileFormat, LineError, UsageFile, format_of
from schemas.usage import Counter

PERIOD = '"period_start": "2026-07-01T00:00:00Z", "period_end": "2026-07-01T01:00:00Z"'
GOOD = f'{{"subscription": "s", "metric": "m", "quantity": 1.10, {PERIOD}, "idempotency_key": "k"}}'
HEADER = "subscription,metric,quantity,period_start,period_end,idempotency_key,revision,properties"
ROW = "s,m,1.10,2026-07-01T00:00:00Z,2026-07-01T01:00:00Z,k,,"


def verdicts(content: str | bytes, file_format: FileFormat = FileFormat.JSONL) -> list[Counter | LineError]:
    """Return the verdicts of a file's lines."""
    raw = content.encode() if isinstance(content, str) else content
    return [line.verdict for line in UsageFile(io.BytesIO(raw), file_format).lines()]


def counter(content: str, file_format: FileFormat = FileFormat.JSONL) -> Counter:
    """Return the only line's counter."""
    (verdict,) = verdicts(content, file_format)
    assert isinstance(verdict, Counter), verdict
    return verdict


def test_a_json_number_stays_exact() -> None:
    """No binary float on the way."""
    assert counter(GOOD).quantity == Decimal("1.10")
    written = "12345678901234567890.100000000000000005"
    assert counter(GOOD.replace("1.10", written)).quantity == Decimal(written)


def test_csv_and_json_give_the_same_counter() -> None:
    """One file, two spellings."""
    assert counter(f"{HEADER}\n{ROW}\n", FileFormat.CSV) == counter(GOOD)


def test_the_gateways_names_are_understood() -> None:
    """What was posted over HTTP can be published from a file."""
    renamed = GOOD.replace('"subscription"', '"subscription_external_id"').replace('"metric"', '"metric_code"')
    assert counter(renamed) == counter(GOOD)


def test_csv_carries_revision_and_properties() -> None:
    """Quoted cells, also over several lines; properties are JSON."""
    row = 's,m,1,2026-07-01T00:00:00Z,2026-07-01T01:00:00Z,"k,\n1",3,"{""host"": ""a"", ""x"": 0.1}"'
    (found,) = verdicts(f"{HEADER}\n{row}\n", FileFormat.CSV)
    assert isinstance(found, LineError)  # the key holds a line break: a control character
    assert (found.line, found.field) == (2, "idempotency_key")
    found = counter(f"{HEADER}\r\n{row.replace(chr(10), '')}\r\n", FileFormat.CSV)
    assert (found.revision, found.properties) == (3, {"host": "a", "x": Decimal("0.1")})


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        ("{", None, "is not JSON"),
        ("[1]", None, "must be a JSON object"),
        (GOOD.replace('"k"', "null"), "idempotency_key", "valid string"),
        (GOOD.replace('"idempotency_key"', '"key"'), "idempotency_key", "is required"),
        (GOOD.replace("1.10", "NaN"), None, "NaN is no JSON number"),
        (GOOD.replace("1.10", '"many"'), "quantity", "plain decimal number"),
        (GOOD.replace("1.10", "true"), "quantity", "must be a decimal number"),
        (GOOD.replace('"m"', '"M"'), "metric", "1 to 64"),
        ("[" * 100_000, None, "is not JSON"),
        (GOOD.replace('"s"', '"' + "s" * LINE_BYTES_MAX + '"'), None, "is longer than"),
        (GOOD.replace('"s"', r'"\ud800"'), "subscription", ""),
    ],
)
def test_a_bad_json_line_is_named(line: str, field: str | None, message: str) -> None:
    """Between two good lines, with a blank one before it."""
    first, bad, last = verdicts(f"{GOOD}\n\n{line}\n{GOOD}")
    assert isinstance(first, Counter)
    assert isinstance(last, Counter)
    assert isinstance(bad, LineError)
    assert (bad.line, bad.field) == (3, field)
    assert message in bad.message
    assert str(bad).startswith("line 3: ")


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        ("s,m,1", None, "has 3 cells, the header has 8"),
        (ROW.replace("k,,", "k,-1,"), "revision", "whole number"),
        (ROW.replace("k,,", "k,,[]"), "properties", "valid dictionary"),
        (ROW.replace("k,,", "k,,{"), "properties", "must be a JSON object"),
        (ROW.replace("1.10", ""), "quantity", "is required"),
        (ROW.replace("s,m", '"s"x,m'), None, "is not CSV"),
    ],
)
def test_a_bad_csv_row_is_named(row: str, field: str | None, message: str) -> None:
    """Between two good rows."""
    first, bad, last = verdicts(f"{HEADER}\n{ROW}\n{row}\n{ROW}\n", FileFormat.CSV)
    assert isinstance(first, Counter)
    assert isinstance(last, Counter)
    assert isinstance(bad, LineError)
    assert (bad.line, bad.field) == (3, field)
    assert message in bad.message


def test_a_csv_file_without_header_is_told() -> None:
    """Nothing can be read without names."""
    (bad,) = verdicts("", FileFormat.CSV)
    assert isinstance(bad, LineError)
    assert "the first line names the columns" in bad.message


def test_bytes_that_are_no_text_are_named() -> None:
    """The line is refused, the next one goes on; also in CSV."""
    bad, good = verdicts(b"\xff\xfe\n" + GOOD.encode())
    assert isinstance(bad, LineError)
    assert isinstance(good, Counter)
    bad, good = verdicts(f"{HEADER}\n".encode() + b"\xff\n" + ROW.encode(), FileFormat.CSV)
    assert isinstance(bad, LineError)
    assert bad.line == 2
    assert isinstance(good, Counter)


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    """Spreadsheets write one."""
    assert counter(f"\ufeff{HEADER}\n{ROW}\n", FileFormat.CSV) == counter(GOOD) == counter(f"\ufeff{GOOD}")


def test_names_that_mean_nothing_are_collected() -> None:
    """They are ignored, but the caller can warn: a misspelt `revison` would change nothing silently."""
    file = UsageFile(io.BytesIO(GOOD.replace("{", '{"revison": 2, ').encode()), FileFormat.JSONL)
    assert len(list(file.lines())) == 1
    assert file.ignored_fields == {"revison"}


@pytest.mark.parametrize(
    ("name", "beginning", "expected"),
    [
        ("a.CSV", b"{", FileFormat.CSV),
        ("a.ndjson", b"a,b", FileFormat.JSONL),
        ("-", b"subscription,metric", FileFormat.CSV),
        ("-", b' \n{"a": 1}', FileFormat.JSONL),
        ("usage", b"", FileFormat.JSONL),
    ],
)
def test_the_format_follows_from_name_or_content(name: str, beginning: bytes, expected: FileFormat) -> None:
    """The name wins."""
    assert format_of(name, beginning) is expected
