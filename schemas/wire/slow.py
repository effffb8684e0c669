"""The slow path: one verdict per counter. The good ones go on; of the bad ones it names index, field and reason."""

from collections.abc import Sequence

from pydantic import ValidationError

from schemas.errors import Reason, Refused
from schemas.identifiers import check_code
from schemas.usage import SCHEMA_VERSION, Counter
from schemas.wire.columns import CounterColumns, RefusedCounter, compact, to_micros
from schemas.wire.document import Repeating, parse, repeated_in, rows_of

MESSAGE_CHARACTERS_MAX = 500

_REASONS = {
    "subscription": Reason.BAD_SUBSCRIPTION,
    "metric": Reason.BAD_METRIC,
    "quantity": Reason.BAD_QUANTITY,
    "period_start": Reason.BAD_PERIOD,
    "period_end": Reason.BAD_PERIOD,
    "idempotency_key": Reason.BAD_KEY,
    "revision": Reason.BAD_REVISION,
    "properties": Reason.BAD_PROPERTIES,
}


def decode(value: bytes) -> tuple[CounterColumns, list[RefusedCounter]]:
    """Return the good counters and a verdict on each of the others.

    Raises:
        Refused: nothing of the record can be used.
    """
    document = parse(value)
    version = document.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version != SCHEMA_VERSION:
        raise Refused(Reason.UNKNOWN_SCHEMA, f"schema_version must be {SCHEMA_VERSION}", "schema_version")
    service = document.get("service")
    try:
        check_code(service if isinstance(service, str) else "")
    except ValueError as error:
        raise Refused(Reason.BAD_SERVICE, f"service {error}", "service") from None
    good: list[tuple[int, Counter]] = []
    refused: list[RefusedCounter] = []
    for index, row in enumerate(rows_of(document)):
        verdict = _judge(index, row)
        if isinstance(verdict, Counter):
            good.append((index, verdict))
        else:
            refused.append(verdict)
    return _from_counters(str(service), good), refused


def _judge(index: int, row: object) -> Counter | RefusedCounter:
    if not isinstance(row, dict):
        return RefusedCounter(index, Reason.MALFORMED_BATCH, None, "a counter must be an object")
    repeated = repeated_in(row, _REASONS)
    if repeated is not None:
        return RefusedCounter(index, _REASONS[repeated], repeated, f"{repeated} occurs twice")
    if isinstance(row.get("properties"), Repeating):
        return RefusedCounter(index, Reason.BAD_PROPERTIES, "properties", "properties has an entry twice")
    try:
        return Counter.model_validate(row)
    except ValidationError as error:
        return _verdict(index, error)


def _verdict(index: int, error: ValidationError) -> RefusedCounter:
    first = error.errors(include_url=False, include_input=False)[0]
    # Only the check of the two ends against each other names no field.
    field = str(first["loc"][0]) if first["loc"] else "period_end"
    message = first["msg"].removeprefix("Value error, ").removeprefix(f"{field} ")
    return RefusedCounter(index, _REASONS[field], field, f"{field} {message}"[:MESSAGE_CHARACTERS_MAX])


def _from_counters(service: str, good: Sequence[tuple[int, Counter]]) -> CounterColumns:
    subscriptions: dict[str, int] = {}
    metrics: dict[str, int] = {}
    periods: dict[tuple[int, int], int] = {}
    counters = [counter for _, counter in good]
    return CounterColumns(
        service=service,
        subscription=[subscriptions.setdefault(c.subscription, len(subscriptions)) for c in counters],
        metric=[metrics.setdefault(c.metric, len(metrics)) for c in counters],
        period=[
            periods.setdefault((to_micros(c.period_start), to_micros(c.period_end)), len(periods)) for c in counters
        ],
        subscriptions=list(subscriptions),
        metrics=list(metrics),
        periods=list(periods),
        keys=[c.idempotency_key for c in counters],
        quantities=[compact(c.quantity) for c in counters],
        revisions=[c.revision for c in counters],
        properties=[c.properties or None for c in counters] if any(c.properties for c in counters) else None,
        indexes=[index for index, _ in good],
    )
