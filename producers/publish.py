"""`fusion-billing publish FILE|-`: a file of counters, checked line by line and published durably."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from producers.kafka_client import RecordProducer
from producers.sdk.client import UsageClient
from producers.sdk.errors import NotAcknowledged
from producers.usage_files import FileFormat, Line, LineError, UsageFile, format_of
from schemas.errors import BillingError, Unavailable
from schemas.settings import Settings

STDIN = "-"
ERRORS_KEPT_MAX = 100
"""Bad lines that are described one by one; further ones are only counted."""

_PEEK_BYTES = 4096
_PROGRESS_LINES = 500


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How to publish.

    `format` null means by name or content. `on_error` stop: a bad line stops everything, and of a file (not a pipe)
    nothing is sent at all; skip: bad lines are reported and the good ones sent. `flush_timeout_s` bounds the wait for
    Kafka's acknowledgements at the end.
    """

    format: FileFormat | None = None
    on_error: Literal["stop", "skip"] = "stop"
    show_progress: bool = True
    flush_timeout_s: float = 60.0


@dataclass(slots=True)
class PublishResult:
    """What happened: `counters` are durable in Kafka, `bad_lines` were not sent, the first of them are in `errors`."""

    counters: int = 0
    bad_lines: int = 0
    errors: list[LineError] = field(default_factory=list)
    ignored_fields: tuple[str, ...] = ()
    duration_s: float = 0.0

    @property
    def counters_per_s(self) -> float:
        """Counters per second, checking and acknowledgement included."""
        return self.counters / self.duration_s if self.duration_s else 0.0

    def note(self, error: LineError) -> None:
        """Count a bad line."""
        self.bad_lines += 1
        if len(self.errors) < ERRORS_KEPT_MAX:
            self.errors.append(error)


class PublishStopped(BillingError):
    """The file was not published as a whole; the text says what is in Kafka, `result` has the numbers and lines."""

    def __init__(self, message: str, result: PublishResult) -> None:
        super().__init__(message)
        self.result = result


def publish_file(
    path: Path | str,
    settings: Settings,
    service: str,
    options: PublishOptions | None = None,
    producer: RecordProducer | None = None,
) -> PublishResult:
    """Publish the counters of a file, or of standard input for ``-``; return once Kafka holds them all.

    Publishing a file again is safe: its idempotency keys are the same.

    Args:
        path: JSON lines with the fields of a counter (or the gateway's names), or CSV with a header row.
        settings: where Kafka is.
        service: code of the app the counters belong to.
        options: see `PublishOptions`.
        producer: another way to Kafka than a connection of its own.

    Raises:
        PublishStopped: a bad line, or Kafka was away for too long; says exactly what was sent.
        BillingError: the file cannot be opened, or the service code or a setting is wrong.
    """
    options = options or PublishOptions()
    result = PublishResult()
    started_s = time.monotonic()
    with ExitStack() as stack:
        stream = sys.stdin.buffer if str(path) == STDIN else stack.enter_context(_opened(Path(path)))
        progress = stack.enter_context(_progress(options))
        file = UsageFile(stream, options.format or format_of(str(path), _beginning(stream)))
        if options.on_error == "stop" and stream.seekable():
            _check(file, progress, result)
        client = UsageClient(service, settings=settings, producer=producer)
        try:
            _send(file, client, progress, result, options)
        finally:
            with suppress(NotAcknowledged):  # `_send` has said so already
                client.close(timeout_s=0)
    result.ignored_fields = tuple(sorted(file.ignored_fields))
    result.duration_s = time.monotonic() - started_s
    return result


def _check(file: UsageFile, progress: Progress, result: PublishResult) -> None:
    """Read the file once without sending; leaves it where it was."""
    position = file.stream.tell()
    for line in _shown(file, progress, "checking"):
        if isinstance(line.verdict, LineError):
            result.note(line.verdict)
    file.stream.seek(position)
    if result.bad_lines:
        raise PublishStopped(f"{_bad(result)}; nothing was sent. Mend the file, or skip bad lines", result)


def _send(
    file: UsageFile, client: UsageClient, progress: Progress, result: PublishResult, options: PublishOptions
) -> None:
    added = 0
    stopped = False
    try:
        for line in _shown(file, progress, "publishing"):
            if not isinstance(line.verdict, LineError):
                client.add_counter(line.verdict)
                added += 1
                continue
            result.note(line.verdict)
            if options.on_error == "stop":
                stopped = True
                break
        client.flush(options.flush_timeout_s)
    except Unavailable as error:
        result.counters = added - client.unacknowledged
        raise PublishStopped(
            f"Kafka holds {result.counters} counters for sure, {client.unacknowledged} are uncertain ({error})."
            " Publish the file again: the same keys count once",
            result,
        ) from error
    result.counters = added
    if stopped:
        raise PublishStopped(
            f"{_bad(result)}; the {added} counters before it were sent and are in Kafka, nothing after it."
            " Mend the line and publish all again: the same keys count once",
            result,
        )


def _bad(result: PublishResult) -> str:
    return f"{result.bad_lines} bad line{'s' if result.bad_lines != 1 else ''}, the first: {result.errors[0]}"


def _shown(file: UsageFile, progress: Progress, what: str) -> Iterator[Line]:
    """Yield the file's lines and move the bar along."""
    task = progress.add_task(what, total=_size_bytes(file.stream))
    end_bytes = 0
    for number, line in enumerate(file.lines()):
        end_bytes = line.end_bytes
        if number % _PROGRESS_LINES == 0:
            progress.update(task, completed=end_bytes)
        yield line
    progress.update(task, completed=end_bytes)


def _progress(options: PublishOptions) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (options.show_progress and console.is_terminal),
    )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise BillingError(f"cannot read {path}: {error.strerror}") from error
    with stream:
        yield stream


def _beginning(stream: BinaryIO) -> bytes:
    """Return the first bytes without taking them."""
    peek = getattr(stream, "peek", None)
    return cast("bytes", peek(_PEEK_BYTES)) if peek else b""


def _size_bytes(stream: BinaryIO) -> int | None:
    if not stream.seekable():
        return None
    position = stream.tell()
    size = stream.seek(0, 2) - position
    stream.seek(position)
    return size
