"""Rated overage judged against what the Odoo sink said of it and what Odoo holds. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from schemas.derived import Line, LineStatus, Overage
from schemas.money import format_decimal
from schemas.odoo_held import HeldLine, HeldUsage
from streams.audit.judging import Finding, Outcome, Where

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Age:
    """Whether the Odoo sink has dealt with a record already; until then nothing can be said about it."""

    is_written: bool

    def judge(self, where: Where, key: str, says: tuple[str, str]) -> Finding:
        """Return a difference as drift, or as pending while it can still be on its way."""
        if self.is_written:
            return Finding(where, key, Outcome.DRIFT, *says)
        return Finding(where, key, Outcome.PENDING, *says, "not read by the Odoo sink yet")


def judge_line(overage: Overage, line: Line | None, age: Age) -> Finding:
    """Compare an overage with the record of lines.v1 that tells what became of it."""
    key, says = overage.key, (_amount(overage.amount), "nothing" if line is None else _amount(line.amount))
    if line is None or line.version < overage.version:
        return age.judge(Where.LINES, key, says)
    if line.status is LineStatus.PARKED:
        return Finding(Where.LINES, key, Outcome.PARKED, *says, line.error or "")
    if line.amount == overage.amount:
        return Finding(Where.LINES, key, Outcome.EQUAL, *says)
    if line.version > overage.version or line.status is LineStatus.STALE:
        return Finding(Where.LINES, key, Outcome.PENDING, *says, "has moved on since")
    return Finding(Where.LINES, key, Outcome.DRIFT, *says)


def judge_held(overage: Overage, held: HeldUsage | None, age: Age) -> Iterator[Finding]:
    """Compare an overage with Odoo's usage, that with its order lines, and those with their invoices."""
    key, total, amount = overage.key, overage.total, overage.amount
    expected = f"{_amount(amount)} for {format_decimal(total)}"
    if held is None or tuple(held["version"]) < overage.version:
        if held is not None and held["error"]:
            yield Finding(Where.USAGE, key, Outcome.PARKED, expected, "", held["error"])
            return
        is_same = held is not None and (Decimal(held["total"]), Decimal(held["amount"])) == (total, amount)
        if not is_same:
            yield age.judge(Where.USAGE, key, (expected, "nothing" if held is None else _usage(held)))
            return
    if held is None:
        return
    if tuple(held["version"]) > overage.version:
        yield Finding(Where.USAGE, key, Outcome.PENDING, expected, _usage(held), "has moved on since")
        return
    is_equal = (Decimal(held["total"]), Decimal(held["amount"])) == (total, amount) and held["shows_total"]
    yield Finding(Where.USAGE, key, Outcome.EQUAL if is_equal else Outcome.DRIFT, expected, _usage(held))
    booked, refunded = Decimal(held["booked"]), Decimal(held["refunded"])
    # What a credit note gave back is neither billed again nor given back once more.
    goal = max(amount, min(refunded, booked))
    outcome = Outcome.EQUAL if booked == goal else Outcome.DRIFT
    yield Finding(Where.ORDER_LINES, key, outcome, f"{_amount(goal)} on lines and credits", _amount(booked))
    for line in held["lines"]:
        yield from _judge_line_of_order(key, line)


def _judge_line_of_order(key: str, line: HeldLine) -> Iterator[Finding]:
    """Compare what a line asks for with what the pipeline wrote, and its invoices with it."""
    name = f"{key}#{line['revision']}"
    shown, own = Decimal(line["shown"]), Decimal(line["amount"])
    outcome = Outcome.EQUAL if shown == own else Outcome.DRIFT
    yield Finding(Where.ORDER_LINES, name, outcome, _amount(own), _amount(shown), "" if shown == own else "by hand")
    invoiced = [each for each in line["invoices"] if each["type"] == "invoice" and each["state"] != "cancel"]
    if invoiced:
        asked = sum((Decimal(each["amount"]) for each in invoiced), _ZERO)
        outcome = Outcome.EQUAL if asked == shown else Outcome.DRIFT
        yield Finding(Where.INVOICES, name, outcome, _amount(shown), _amount(asked))


def _usage(held: HeldUsage) -> str:
    seen = "" if held["shows_total"] else ", but shows another total"
    return f"{_amount(Decimal(held['amount']))} for {format_decimal(Decimal(held['total']))}{seen}"


def _amount(amount: Decimal) -> str:
    return format_decimal(amount)
