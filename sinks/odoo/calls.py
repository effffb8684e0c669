"""Calls of `fc_upsert_lines`: whole rows, short rows, refusals, and how many rows a call has.

A refusal of a whole call is narrowed down until only the row that causes it is parked.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from schemas.derived import Line
from schemas.errors import OdooRefused, OdooUnavailable, Unavailable
from schemas.odoo_rpc import LineResult, OdooBilling, OverageRow, SameOverageRow
from sinks import metrics
from sinks.odoo.answers import INCOMPLETE, check_answer, line_of, parked_line
from sinks.odoo.reading import Rated
from sinks.odoo.rows import CallSize, Pending

_METHOD = "fc_upsert_lines"
_RETRY_AFTER_REFUSAL_S = 15.0


class Asked(NamedTuple):
    """An overage for Odoo, and its `meaning`; with `fingerprint`, Odoo is thought to hold it but for the version."""

    pending: Pending
    meant: bytes
    fingerprint: str | None

    @property
    def rated(self) -> Rated:
        """The overage."""
        return self.pending.rated

    @property
    def row(self) -> OverageRow | SameOverageRow:
        """What Odoo is sent of it."""
        rated = self.pending.rated
        if self.fingerprint is None:
            return rated.row
        return SameOverageRow(key=rated.key, version=list(rated.version), fingerprint=self.fingerprint)


class Answer(NamedTuple):
    """What Odoo holds now, and its name for what the row says, if it accepted that."""

    line: Line
    fingerprint: str | None


class Calls:
    """The way of rows to Odoo and of its answers back. One thread at a time."""

    def __init__(self, odoo: OdooBilling, rows_max: int) -> None:
        self._odoo = odoo
        self.size = CallSize(rows_max)

    def upsert(self, asked: Sequence[Asked]) -> list[Answer]:
        """Return the answers in the order of the rows; a refused call is halved until the refused row stands alone."""
        rows = [each.row for each in asked]
        try:
            results = self._timed(rows)
        except OdooRefused as refusal:
            if len(asked) > 1:
                middle = len(asked) // 2
                return self.upsert(asked[:middle]) + self.upsert(asked[middle:])
            self._check_that_the_row_is_to_blame(refusal)
            [one] = asked
            rated = one.rated
            return [Answer(parked_line(rated.key, rated.version, rated.row["currency"], str(refusal)), None)]
        check_answer(rows, results)
        return self._completed(asked, results)

    def _completed(self, asked: Sequence[Asked], results: Sequence[LineResult]) -> list[Answer]:
        """Return the answers; rows that were too short are asked again, whole."""
        short = [
            each._replace(fingerprint=None)
            for each, result in zip(asked, results, strict=True)
            if result["status"] == INCOMPLETE
        ]
        whole = iter(self.upsert(short) if short else ())
        return [
            next(whole)
            if result["status"] == INCOMPLETE
            else Answer(line_of(each.rated.row, each.rated.version, result), result.get("fingerprint"))
            for each, result in zip(asked, results, strict=True)
        ]

    def _check_that_the_row_is_to_blame(self, refusal: OdooRefused) -> None:
        """Raise OdooUnavailable if Odoo refuses a call without rows, too: then a right, login or addon is wrong.

        Parking every row would turn one wrong setting into a day's work for a person; waiting costs nothing.
        """
        try:
            self._odoo.upsert_lines([])
        except OdooRefused as error:
            raise OdooUnavailable(f"Odoo refuses every call: {error}", _RETRY_AFTER_REFUSAL_S) from refusal

    def _timed(self, rows: Sequence[OverageRow | SameOverageRow]) -> list[LineResult]:
        """Return the call's result; its duration goes to the metrics, whatever came of it."""
        started_s = time.monotonic()
        outcome = "refused"
        try:
            results = self._odoo.upsert_lines(rows)
            outcome = "answered"
        except Unavailable:
            outcome = "unavailable"
            raise
        finally:
            took_s = time.monotonic() - started_s
            metrics.ODOO_CALL_SECONDS.labels(_METHOD, outcome).observe(took_s)
        self.size.learn(len(rows), took_s)
        return results
