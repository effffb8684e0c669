"""Refusals on their way to a `rejected.v1` that takes no records as large as they are.

The topic should take 8 MiB (`fusion-billing topics apply`); made by somebody else, it may take less. A refusal that it
does not take must hold up neither its partition nor be lost: it goes out without the original, which its topic,
partition and offset still name, then with its first refusal only.
"""

from collections.abc import Iterable

import structlog

from schemas.events import Rejected
from streams.records import Outgoing

_LEAST_BYTES = 2048
_REFUSALS = 100
_MESSAGE_LENGTH = 200

log = structlog.get_logger()


def lower_limit(records: Iterable[Outgoing], topic: str) -> int | None:
    """Return how large refusals may be after those among `records` were too large; null if they are as short as can be.

    Which of them was too large, and what would not be, the broker does not say.
    """
    largest = max((_size(record) for record in records if record.topic == topic), default=0)
    return largest // 2 if largest > _LEAST_BYTES else None


def shortened(records: Iterable[Outgoing], topic: str, bytes_max: int) -> list[Outgoing]:
    """Return the records, those of `topic` cut down to what they may be; their headers and their order stay."""
    return [
        _cut(record, bytes_max) if record.topic == topic and _size(record) > bytes_max else record for record in records
    ]


def _cut(record: Outgoing, bytes_max: int) -> Outgoing:
    whole = Rejected.model_validate_json(record.value)
    note = f"{whole.message} (the rest of this record was left out: {record.topic} takes no {_size(record)} bytes)"
    short = whole.model_copy(update={"original": "", "message": note, "refusals": whole.refusals[:_REFUSALS]})
    cut = Outgoing(record.topic, record.key, short.model_dump_json().encode(), record.partition, record.headers)
    if _size(cut) > bytes_max:
        first = whole.refusals[0]
        first = first.model_copy(update={"message": first.message[:_MESSAGE_LENGTH]})
        least = short.model_copy(update={"original_key": None, "refusals": [first], "message": note[-_MESSAGE_LENGTH:]})
        cut = Outgoing(record.topic, None, least.model_dump_json().encode(), record.partition, record.headers)
    log.warning(
        "refusal.shortened",
        topic=whole.topic,
        partition=whole.partition,
        offset=whole.offset,
        bytes=_size(record),
        remedy="run `fusion-billing topics apply`",
    )
    return cut


def _size(record: Outgoing) -> int:
    return len(record.value) + len(record.key or b"")
