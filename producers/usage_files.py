"""Usage files: JSON lines or CSV in, one verdict per line out. Pure over a stream of bytes; nothing is sent here."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, BinaryIO, NoReturn

from producers.sdk.counters import checked_counter
from producers.sdk.errors import InvalidCounter
from schemas.usage import REVISION_MAX, Counter

LINE_BYTES_MAX = 1 << 20
"""Longer lines are refused: a counter is some hundred bytes."""

_WHOLE = re.compile(r"[0-9]{1,10}")

# The gateway's names, so that what was sent there can be published here.
_ALIASES = {"subscription_external_id": "subscription", "metric_code": "metric"}


class FileFormat(StrEnum):
    """How a usage file is written."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that is no counter: `line` counts from 1, `field` is null where the line as a whole is wrong."""

    line: int
    field: str | None
    message: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"line {self.line}: {f'{self.field}: ' if self.field else ''}{self.message}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line and what it is; `end_bytes` is how far into the file it reaches."""

    verdict: Counter | LineError
    end_bytes: int


@dataclass(slots=True)
class UsageFile:
    """Reads a file once. `ignored_fields` fills up with names that mean nothing to us."""

    stream: BinaryIO
    format: FileFormat
    ignored_fields: set[str] = field(default_factory=set)

    def lines(self) -> Iterator[Line]:
        """Yield a verdict for every line that is not blank."""
        return self._json_lines() if self.format is FileFormat.JSONL else self._csv_lines()

    def _json_lines(self) -> Iterator[Line]:
        read = _Reader(self.stream)
        for text in read:
            if isinstance(text, LineError):
                yield Line(text, read.bytes)
            elif text.strip():
                yield Line(self._json_verdict(text, read.number), read.bytes)

    def _json_verdict(self, text: str, number: int) -> Counter | LineError:
        try:
            fields = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            return LineError(number, None, f"is not JSON ({error}): write one object per line")
        if not isinstance(fields, dict):
            return LineError(number, None, 'must be a JSON object, like {"subscription": …}')
        return self._verdict(fields, number)

    def _csv_lines(self) -> Iterator[Line]:
        read = _Reader(self.stream)
        bad: list[LineError] = []
        rows = csv.reader(_texts(read, bad), strict=True)
        header = next(rows, None)
        if header is None or bad:
            missing = LineError(1, None, "is missing: the first line names the columns")
            yield Line(bad[0] if bad else missing, read.bytes)
            return
        names = [name.strip() for name in header]
        while True:
            start = rows.line_num + 1
            try:
                cells = next(rows, None)
            except csv.Error as error:
                yield Line(LineError(start, None, f"is not CSV ({error})"), read.bytes)
                continue
            if bad:
                yield Line(bad.pop(), read.bytes)
            elif cells is None:
                return
            elif cells:
                yield Line(self._csv_verdict(names, cells, start), read.bytes)

    def _csv_verdict(self, names: list[str], cells: list[str], number: int) -> Counter | LineError:
        if len(cells) != len(names):
            return LineError(number, None, f"has {len(cells)} cells, the header has {len(names)}")
        fields: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
        if "revision" in fields:
            if not _WHOLE.fullmatch(fields["revision"]):
                return LineError(number, "revision", f"must be a whole number from 0 to {REVISION_MAX}")
            fields["revision"] = int(fields["revision"])
        if "properties" in fields:
            try:
                fields["properties"] = json.loads(fields["properties"], parse_float=Decimal)
            except (ValueError, RecursionError):
                return LineError(number, "properties", "must be a JSON object")
        return self._verdict(fields, number)

    def _verdict(self, fields: Mapping[str, Any], number: int) -> Counter | LineError:
        named = {_ALIASES.get(name, name): value for name, value in fields.items()}
        self.ignored_fields |= named.keys() - Counter.model_fields.keys()
        try:
            return checked_counter(named)
        except InvalidCounter as error:
            return LineError(number, error.field, str(error).removeprefix(f"{error.field}: "))


class _Reader:
    """Lines of a stream as text, or what is wrong with them; `bytes` and `number` say how far it has come."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.bytes = 0
        self.number = 0

    def __iter__(self) -> Iterator[str | LineError]:
        while raw := self._next():
            self.number += 1
            if len(raw) > LINE_BYTES_MAX:
                yield LineError(self.number, None, f"is longer than {LINE_BYTES_MAX} bytes")
                continue
            try:
                yield raw.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield LineError(self.number, None, "is not UTF-8: convert the file first")

    def _next(self) -> bytes:
        """Return a line, of an overlong one the beginning; the rest of that one is passed over."""
        raw = self._stream.readline(LINE_BYTES_MAX + 1)
        self.bytes += len(raw)
        rest = raw
        while len(rest) > LINE_BYTES_MAX and not rest.endswith(b"\n"):
            rest = self._stream.readline(LINE_BYTES_MAX + 1)
            self.bytes += len(rest)
        return raw


def _texts(read: _Reader, bad: list[LineError]) -> Iterator[str]:
    for text in read:
        if isinstance(text, LineError):
            bad.append(text)
            yield "\n"
        else:
            yield text


def format_of(name: str, beginning: bytes) -> FileFormat:
    """Return the format by the file's name, else by its beginning: JSON lines open with a brace, a header does not."""
    lowered = name.lower()
    if lowered.endswith(".csv"):
        return FileFormat.CSV
    if lowered.endswith((".jsonl", ".ndjson", ".json")):
        return FileFormat.JSONL
    opening = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return FileFormat.JSONL if opening in (b"{", b"") else FileFormat.CSV


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
