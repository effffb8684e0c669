"""Rating against the vectors of the pricing definition, and the properties that hold for all totals."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import Charge, ChargeModel
from schemas.errors import InvariantBroken
from schemas.money import round_money
from streams.domain.rating import rate, started_batches
from tests.unit.streams.catalogs import charge, tiers

OVER: dict[str, Any] = {"included_quota": Decimal(5_000_000)}

# id, quota, batch, price, total → billable units, amount
STANDARD = [
    ("S1", 5_000_000, "1000", "0.10", "6000000", "1000000", "100.00"),
    ("S2", 0, "1000", "0.10", "1500", "1500", "0.20"),
    ("S3", 100, "1000", "0.10", "1100", "1000", "0.10"),
    ("S4", 5_000_000, "1000", "0.10", "4000000", "0", "0.00"),
    ("S5", 5_000_000, "1000", "0.10", "5000000", "0", "0.00"),
    ("S6", 5_000_000, "1000", "0.10", "5000001", "1", "0.10"),
    ("S7", 100, "1000", "0.10", "1101", "1001", "0.20"),
    ("S8", 0, "1000", "0.10", "1000.001", "1000.001", "0.20"),
    ("S9", 0, "1000", "0.10", "-50", "0", "0.00"),
    ("S10", 360_000, "3600", "0.0075", "360001", "1", "0.01"),
    ("S11", 360_000, "3600", "0.0075", "363601", "3601", "0.02"),
    ("S12", 0, "0.1", "1", "0.3", "0.3", "3.00"),
    ("S13", 0, "1", "1", "9007199254740993", "9007199254740993", "9007199254740993.00"),
]


@pytest.mark.parametrize(("quota", "batch", "price", "total", "units", "amount"), [row[1:] for row in STANDARD])
def test_standard_vectors(quota: int, batch: str, price: str, total: str, units: str, amount: str) -> None:
    """Each started batch over the quota costs the price."""
    terms = charge(included_quota=Decimal(quota), unit_batch=Decimal(batch), price_per_unit=Decimal(price))
    rated = rate(Decimal(total), terms)
    assert (rated.billable_units, rated.amount) == (Decimal(units), Decimal(amount))


def test_three_tenths_start_three_batches() -> None:
    """S12: the sum of three tenths is not more than three tenths."""
    terms = charge(unit_batch=Decimal("0.1"), price_per_unit=Decimal(1))
    assert rate(Decimal("0.1") + Decimal("0.1") + Decimal("0.1"), terms).batches == 3


@pytest.mark.parametrize(
    ("total", "amount"), [("2001", "6.00"), ("2000", "4.00"), ("1", "2.00"), ("0", "0.00"), ("-50", "0.00")]
)
@pytest.mark.parametrize("quota", [0, 1_000_000])
def test_package_vectors(total: str, amount: str, quota: int) -> None:
    """P1, P2: each started package costs, whatever the quota says."""
    terms = charge(charge_model=ChargeModel.PACKAGE, price_per_unit=Decimal("2.00"), included_quota=Decimal(quota))
    assert rate(Decimal(total), terms).amount == Decimal(amount)


LARGE_TIERS = tiers(("1000000", "0.10"), ("5000000", "0.08"), (None, "0.05"))
SMALL_TIERS = tiers(("100", "2"), ("200", "1"), (None, "0.5"))


@pytest.mark.parametrize(
    ("total", "volume", "graduated"),
    [
        (5_000_000, "0", "0"),  # V1
        (6_000_000, "100.00", "100.00"),  # V2
        (6_000_001, "80.08", "100.08"),  # V3
        (10_000_000, "400.00", "420.00"),  # V4
        (10_000_001, "250.05", "420.05"),  # V5
        (12_000_000, "350.00", "520.00"),  # V6
    ],
)
def test_tiers_over_a_quota(total: int, volume: str, graduated: str) -> None:
    """Bounds are inclusive and count units over the quota."""
    terms: dict[str, Any] = {"tiers": LARGE_TIERS, **OVER}
    assert rate(Decimal(total), charge(charge_model=ChargeModel.VOLUME, **terms)).amount == Decimal(volume)
    assert rate(Decimal(total), charge(charge_model=ChargeModel.GRADUATED, **terms)).amount == Decimal(graduated)


@pytest.mark.parametrize(
    ("total", "volume", "graduated"),
    [
        (0, "0", "0"),
        (1, "2", "2"),
        (100, "200", "200"),
        (101, "101", "201"),
        (200, "200", "300"),
        (201, "100.5", "300.5"),
        (300, "150", "350"),
    ],
)
def test_small_tiers(total: int, volume: str, graduated: str) -> None:
    """Without quota and with batches of one, bounds stay inclusive."""
    terms: dict[str, Any] = {"tiers": SMALL_TIERS, "unit_batch": Decimal(1)}
    assert rate(Decimal(total), charge(charge_model=ChargeModel.VOLUME, **terms)).amount == Decimal(volume)
    assert rate(Decimal(total), charge(charge_model=ChargeModel.GRADUATED, **terms)).amount == Decimal(graduated)


def test_a_flat_fee_is_charged_when_its_tier_is_reached() -> None:
    """A tier reached by more than 0 units adds its fee, once."""
    rows = tiers(("100", "1"), (None, "1"))
    rows = tuple(row.model_copy(update={"flat_fee": Decimal(10)}) for row in rows)
    terms = charge(charge_model=ChargeModel.GRADUATED, tiers=rows, unit_batch=Decimal(1))
    assert [rate(Decimal(total), terms).amount for total in (0, 1, 100, 101)] == [0, 11, 110, 121]


@pytest.mark.parametrize(
    ("total", "amount"),
    [
        ("6500000", "150.00"),  # C1
        ("5500000", "50.00"),  # C2
        ("6000400", "100.10"),  # C3
        ("6000800", "100.10"),
    ],
)
def test_corrections_rate_the_whole_total_anew(total: str, amount: str) -> None:
    """A started batch is paid once, however late the rest of it comes."""
    assert rate(Decimal(total), charge(**OVER)).amount == Decimal(amount)


def test_tiers_are_rounded_once_together() -> None:
    """Three tiers of 0.004 make 0.01."""
    rows = tiers(("1", "0.004"), ("2", "0.004"), (None, "0.004"))
    terms = charge(charge_model=ChargeModel.GRADUATED, tiers=rows, unit_batch=Decimal(1), currency="USD")
    assert rate(Decimal(3), terms).amount == Decimal("0.01")


@pytest.mark.parametrize("model", [ChargeModel.VOLUME, ChargeModel.GRADUATED])
def test_tiers_that_end_are_refused(model: ChargeModel) -> None:
    """No tier means no price; nothing is guessed."""
    with pytest.raises(InvariantBroken, match="no tier"):
        rate(Decimal(11), charge(charge_model=model, tiers=tiers(("10", "1")), unit_batch=Decimal(1)))


def test_a_batch_of_nothing_is_refused() -> None:
    """A charge the catalog should not have let through is named."""
    terms = charge().model_copy(update={"unit_batch": Decimal(0)})
    with pytest.raises(InvariantBroken, match="calls"):
        rate(Decimal(1), terms)


def test_batches_beyond_28_digits_are_counted_exactly() -> None:
    """The default precision of decimals would lose the last batch."""
    terms = charge(unit_batch=Decimal(1), price_per_unit=Decimal(1))
    assert rate(Decimal(10**29 + 1), terms).batches == 10**29 + 1


amounts = st.decimals(0, 10**9, places=3)
prices = st.decimals(0, 100, places=6)


@st.composite
def terms_of(draw: st.DrawFn, *models: ChargeModel) -> Charge:
    """Terms of these models; tier bounds are multiples of the batch."""
    batch = draw(st.sampled_from([Decimal(1), Decimal(1000), Decimal("0.5")]))
    bounds = sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))
    rows: list[tuple[str | None, str]] = [(str(bound * batch), str(draw(prices))) for bound in bounds]
    fields: dict[str, Any] = {
        "charge_model": draw(st.sampled_from(models)),
        "included_quota": draw(st.decimals(0, 10**6, places=2)),
        "price_per_unit": draw(prices),
        "unit_batch": batch,
        "tiers": tiers(*rows, (None, str(draw(prices)))),
    }
    return charge(**fields)


@given(amounts, amounts, terms_of(ChargeModel.STANDARD, ChargeModel.PACKAGE, ChargeModel.GRADUATED))
def test_more_usage_never_costs_less(one: Decimal, more: Decimal, terms: Charge) -> None:
    """All models but volume are monotone."""
    assert rate(one, terms).amount <= rate(one + more, terms).amount


@given(terms_of(*ChargeModel), st.data())
def test_no_overage_costs_nothing(terms: Charge, data: st.DataObject) -> None:
    """Within the quota nothing is due; a package starts with the first unit."""
    is_package = terms.charge_model is ChargeModel.PACKAGE
    total = Decimal(0) if is_package else data.draw(st.decimals(0, terms.included_quota, places=2))
    assert rate(total, terms).amount == 0


@given(amounts, terms_of(ChargeModel.STANDARD))
def test_standard_is_one_tier(total: Decimal, terms: Charge) -> None:
    """Standard, and volume and graduated with a single tier, are the same."""
    one_tier = tiers((None, str(terms.price_per_unit)))
    for model in (ChargeModel.VOLUME, ChargeModel.GRADUATED):
        same = terms.model_copy(update={"charge_model": model, "tiers": one_tier})
        assert rate(total, same).amount == rate(total, terms).amount


@given(amounts, terms_of(ChargeModel.GRADUATED))
def test_graduated_is_the_sum_of_its_slices(total: Decimal, terms: Charge) -> None:
    """Each slice priced alone, then rounded once."""
    overage, lower, expected = max(Decimal(0), total - terms.included_quota), Decimal(0), Decimal(0)
    for tier in terms.tiers:
        upper = overage if tier.up_to is None else min(overage, tier.up_to)
        if upper > lower:
            expected += -((lower - upper) // terms.unit_batch) * tier.price_per_unit
            expected += tier.price_per_unit if (upper - lower) % terms.unit_batch else 0
        lower = max(lower, upper)
    assert rate(total, terms).amount == round_money(expected, "CAD")


@given(st.integers(0, 10**40), st.integers(1, 10**6))
def test_started_batches_are_the_ceiling(units: int, batch: int) -> None:
    """Exact far beyond any float and any default precision."""
    from decimal import localcontext  # noqa: PLC0415

    with localcontext(prec=120):
        assert started_batches(Decimal(units), Decimal(batch)) == -(-units // batch)
