"""Rows that were refused and wait for a person: what `lines.v1` tells of them, and another try.

A retry goes the sink's own way, so it may run beside the sinks: versions decide, and an equal row changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing

from schemas.derived import Line, LineStatus
from schemas.odoo_rpc import OdooBilling, OdooTransport
from schemas.settings import Settings
from schemas.topics import LINES, OVERAGE, Topic
from sinks.kafka_client import Publisher, Record, TopicReader
from sinks.odoo.sink import OdooSink

_RECORDS_PER_WRITE = 2_000


def parked_lines(settings: Settings) -> dict[str, Line]:
    """Return {key: line} of the keys whose newest word on `lines.v1` is that they are parked."""
    return parked_among(
        Line.model_validate_json(record.value) for record in _read(settings, LINES) if record.value is not None
    )


def parked_among(lines: Iterable[Line]) -> dict[str, Line]:
    """Return {key: line} of the keys that are parked by the greatest version told, the later among equals."""
    newest: dict[str, Line] = {}
    for line in lines:
        if line.key not in newest or line.version >= newest[line.key].version:
            newest[line.key] = line
    return {key: line for key, line in newest.items() if line.status is LineStatus.PARKED}


def retry(settings: Settings, connect: Callable[[Settings], OdooTransport], keys: Collection[str]) -> dict[str, Line]:
    """Offer the newest overage of each key to Odoo again; return {key: line} of those that are parked still.

    Raises:
        Unavailable: Odoo or Kafka is away; what was written stays, the rest can be tried again.
    """
    wanted = {key.encode() for key in keys}
    records = [record for record in _read(settings, OVERAGE) if record.key in wanted]
    with (
        closing(Publisher(settings)) as publisher,
        closing(OdooSink(settings, OdooBilling(connect(settings)), publisher)) as sink,
    ):
        for start in range(0, len(records), _RECORDS_PER_WRITE):
            for _settled in sink.write(records[start : start + _RECORDS_PER_WRITE]):
                pass
    return {key: line for key, line in parked_lines(settings).items() if key in keys}


def _read(settings: Settings, topic: Topic) -> Iterator[Record]:
    with closing(TopicReader(settings, settings.topic(topic))) as reader:
        yield from reader.read_to_end()
