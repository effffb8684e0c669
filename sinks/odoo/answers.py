"""Odoo's answers to records of `lines.v1`. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from schemas.derived import Line, LineStatus, Version
from schemas.errors import InvariantBroken
from schemas.odoo_rpc import LineResult, OverageRow, SameOverageRow

INCOMPLETE = "incomplete"  # of a short row: Odoo wants the whole one

_ACCEPTED = frozenset(
    {LineStatus.CREATED, LineStatus.UPDATED, LineStatus.UNCHANGED, LineStatus.NOTHING, LineStatus.CREDITED}
)
_ERROR_CHARACTERS_MAX = 500


def check_answer(rows: Sequence[OverageRow | SameOverageRow], results: Sequence[LineResult]) -> None:
    """Raise InvariantBroken unless there is one result per row, in the rows' order."""
    if [row["key"] for row in rows] != [result["key"] for result in results]:
        raise InvariantBroken(f"Odoo answered {len(results)} results that do not match the {len(rows)} rows")


def is_accepted(line: Line) -> bool:
    """Tell whether Odoo holds the overage that the line speaks of, and no newer one."""
    return line.status in _ACCEPTED


def line_of(row: OverageRow, version: Version, result: LineResult) -> Line:
    """Return what `lines.v1` says about one row that Odoo answered."""
    error = result.get("error")
    return Line(
        key=row["key"],
        version=version,
        status=LineStatus(result["status"]),
        order_id=result["order_id"],
        line_id=result["line_id"],
        revision=result["revision"],
        amount=Decimal(result["amount"]),
        invoiced_amount=Decimal(result["invoiced_amount"]),
        currency=row["currency"],
        error=None if error is None else error[:_ERROR_CHARACTERS_MAX],
    )


def parked_line(key: str, version: Version, currency: str, error: str) -> Line:
    """Return the line of a row that was refused without a word on what Odoo holds."""
    return Line(
        key=key,
        version=version,
        status=LineStatus.PARKED,
        order_id=None,
        line_id=None,
        revision=0,
        amount=Decimal(0),
        invoiced_amount=Decimal(0),
        currency=currency,
        error=error[:_ERROR_CHARACTERS_MAX],
    )
