"""Generated instances of every message, as the models accept them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from schemas import catalog
from schemas.derived import Line, LineStatus, Overage, Total, Version
from schemas.errors import Reason
from schemas.events import Delivery, DeliveryState, EndpointState, EndpointStatus, LifecycleEvent, Refusal, Rejected
from schemas.money import DECIMAL_PLACES_MAX, INTEGER_DIGITS_MAX
from schemas.usage import PROPERTIES_MAX, REVISION_MAX, Counter, UsageBatch

codes = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,63}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
external_ids = st.one_of(
    st.from_regex(r"[a-z]{3}-[0-9]{1,4}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60),
)
instants = st.datetimes(datetime(1971, 1, 1), datetime(8999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
dates = st.dates(date(1971, 1, 1), date(8999, 1, 1))
numbers = st.integers(0, 2**53)
currencies = st.sampled_from(["CAD", "USD", "EUR", "JPY", "KWD"])


def decimals(integer_digits: int = INTEGER_DIGITS_MAX, *, negative: bool = True) -> st.SearchStrategy[Decimal]:
    """Return exact decimals of up to so many digits before and 18 after the point."""

    def build(digits: int, places: int) -> Decimal:
        return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -places))

    top = 10**integer_digits - 1
    return st.one_of(
        st.integers(-1000 if negative else 0, 1000).map(Decimal),
        st.builds(build, st.integers(-top if negative else 0, top), st.integers(0, DECIMAL_PLACES_MAX)),
    )


quantities = decimals()
prices = decimals(12, negative=False)
versions = st.builds(Version, numbers, numbers, numbers)
scalars: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), st.integers(), quantities, texts)
properties = st.one_of(st.just({}), st.dictionaries(texts, scalars, max_size=PROPERTIES_MAX))


@st.composite
def counters(draw: st.DrawFn, extras: bool = True) -> Counter:
    """Return a counter; without `extras` one that has neither revision nor properties."""
    start, end = sorted((draw(instants), draw(instants)))
    return Counter(
        subscription=draw(external_ids),
        metric=draw(codes),
        quantity=draw(quantities),
        period_start=start,
        period_end=end,
        idempotency_key=draw(external_ids),
        revision=draw(st.integers(0, REVISION_MAX)) if extras else 0,
        properties=draw(properties) if extras else {},
    )


def _derived(model: type[Total] | type[Overage], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[BaseModel]:
    return st.builds(
        model,
        service=codes,
        subscription=external_ids,
        metric=codes,
        period_start=instants,
        period_end=instants,
        version=versions,
        counters=numbers,
        **fields,
    )


_wide = decimals(60)
_refusals = st.builds(
    Refusal,
    index=st.none() | numbers,
    reason=st.sampled_from(Reason),
    field=st.none() | texts,
    message=texts,
)
_tiers = st.builds(catalog.Tier, up_to=st.none() | prices, price_per_unit=prices, flat_fee=prices)
_optional_codes = st.none() | codes

INSTANCES: dict[str, st.SearchStrategy[BaseModel]] = {
    "usage_batch": st.builds(UsageBatch, service=codes, counters=st.lists(counters(), min_size=1, max_size=4)),
    "rejected": st.builds(
        Rejected,
        topic=texts,
        partition=numbers,
        offset=numbers,
        reason=st.sampled_from(Reason),
        message=texts,
        refusals=st.lists(_refusals, min_size=1, max_size=3),
        original_key=st.none() | texts,
        original=texts,
    ),
    "catalog_service": st.builds(
        catalog.Service, id=numbers, code=codes, name=texts, api_key_hashes=st.lists(texts).map(tuple)
    ),
    "catalog_metric": st.builds(
        catalog.Metric,
        id=numbers,
        service=_optional_codes,
        code=codes,
        name=texts,
        aggregation=st.sampled_from(catalog.Aggregation),
        unique_property=st.none() | texts,
    ),
    "catalog_charge": st.builds(
        catalog.Charge,
        id=numbers,
        code=codes,
        name=texts,
        service=_optional_codes,
        metric=codes,
        plan_code=st.none() | texts,
        plan=st.none() | numbers,
        product=numbers,
        included_quota=prices,
        price_per_unit=prices,
        unit_batch=prices.filter(bool),
        charge_model=st.sampled_from(catalog.ChargeModel),
        currency=currencies,
        tiers=st.lists(_tiers, max_size=3).map(tuple),
    ),
    "catalog_plan": st.builds(
        catalog.Plan,
        id=numbers,
        name=texts,
        unit=st.sampled_from(catalog.IntervalUnit),
        count=st.integers(1, catalog.COUNT_MAX),
    ),
    "catalog_account_link": st.builds(
        catalog.AccountLink, id=numbers, service=codes, external_id=external_ids, partner=numbers
    ),
    "catalog_subscription": st.builds(
        catalog.Subscription,
        id=numbers,
        service=codes,
        external_id=external_ids,
        customer=st.none() | texts,
        partner=numbers,
        plan=numbers,
        plan_code=st.none() | texts,
        currency=currencies,
        state=texts,
        anchor=dates,
        next_invoice_date=st.none() | dates,
        end_date=st.none() | dates,
        time_zone=texts,
    ),
    "catalog_endpoint": st.builds(
        catalog.Endpoint,
        id=numbers,
        service=codes,
        url=texts,
        sealed_secrets=st.lists(texts).map(tuple),
        event_types=st.lists(texts).map(tuple),
    ),
    "total": _derived(Total, aggregation=st.sampled_from(catalog.Aggregation), quantity=_wide),
    "overage": _derived(
        Overage,
        charge=codes,
        total=_wide,
        quota=prices,
        billable_units=_wide,
        batches=_wide,
        batch_size=prices,
        price_per_unit=prices,
        charge_model=st.sampled_from(catalog.ChargeModel),
        amount=_wide,
        currency=currencies,
    ),
    "line": st.builds(
        Line,
        key=texts,
        version=versions,
        status=st.sampled_from(LineStatus),
        order_id=st.none() | numbers,
        line_id=st.none() | numbers,
        revision=numbers,
        amount=_wide,
        invoiced_amount=_wide,
        currency=currencies,
        error=st.none() | texts,
    ),
    "lifecycle_event": st.builds(
        LifecycleEvent,
        id=texts.filter(bool),
        type=texts.filter(bool),
        time=instants,
        service=codes,
        subscription=st.none() | texts,
        customer=st.none() | texts,
        data=st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts, max_size=4),
    ),
    "delivery": st.builds(
        Delivery,
        event_id=texts,
        event_type=texts,
        endpoint_id=numbers,
        service=codes,
        subscription=st.none() | texts,
        body=texts,
        state=st.sampled_from(DeliveryState),
        attempts=numbers,
        created_at=instants,
        next_attempt_at=st.none() | instants,
        sequence=numbers,
        last_status=st.none() | numbers,
        last_error=st.none() | texts,
    ),
    "endpoint_status": st.builds(
        EndpointStatus,
        endpoint_id=numbers,
        state=st.sampled_from(EndpointState),
        reason=texts,
        since=instants,
        url_digest=st.none() | texts,
    ),
}
"""A strategy per message, by its name in `schemas.messages`."""
