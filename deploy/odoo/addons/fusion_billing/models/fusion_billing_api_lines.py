import logging
from collections import defaultdict
from decimal import Decimal

import psycopg2

from odoo import api, models
from odoo.exceptions import ConcurrencyError, UserError

from ..lib.numbers import money
from ..lib.overage import fingerprint, parse_overage, parse_version

_logger = logging.getLogger(__name__)

COUNTERS_MAX = 2**31 - 1  # of a column
ERROR_MAX = 500
# What Odoo or PostgreSQL may find wrong with the values of a row; a conflict between transactions is not among them.
BAD_VALUES = (UserError, ValueError, TypeError, psycopg2.DataError, psycopg2.IntegrityError)


class _Row:
    """One row on its way through a call: what was asked, what Odoo holds, what became of it."""

    def __init__(self, overage, digest):
        self.overage, self.fingerprint = overage, digest
        self.order = self.charge = self.usage = self.lines = None
        self.book = None  # what the lines had come to when that was last looked at
        self.is_due = False  # its lines must change
        self.is_usage_new = False  # its usage was recorded in this call
        self.target = None  # the order that takes its line: not always its own
        self.changed_line = self.changed_name = self.changed_amount = None  # a line whose own columns are to be stored
        self.status = self.error = None

    def park(self, error):
        self.status, self.error = "parked", str(error)[:ERROR_MAX]


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_upsert_lines(self, rows):
        """Bring each charge's order line to the row's amount; results in the order of `rows`, at most 500."""
        api_su = self._fc_enter(rows).with_context(sale_no_log_for_new_lines=True, active_test=False)
        # Odoo looks up each amount's currency in this environment: held, it is not made anew for each of them.
        held = api_su.with_context(prefetch_fields=False)
        try:
            return held.with_env(api_su.env)._fc_upsert_lines(rows)
        except psycopg2.errors.UniqueViolation as error:
            # Another call wrote the same key meanwhile: the server runs this one again on a fresh snapshot.
            raise ConcurrencyError(str(error)) from error

    @api.model
    def _fc_upsert_lines(self, raw_rows):
        # 1. Answer what is known. 2. Check the other dicts. 3. Find what Odoo holds. 4. Decide which rows need work.
        # 5. Do it. 6. Report.
        known = self._fc_answer_known(raw_rows)
        careful = iter(self._fc_upsert_carefully([raw for index, raw in enumerate(raw_rows) if index not in known]))
        return [known.get(index) or next(careful) for index in range(len(raw_rows))]

    @api.model
    def _fc_upsert_carefully(self, raw_rows):
        if not raw_rows:
            return []
        entries = [self._fc_parse(raw) for raw in raw_rows]
        newest = self._fc_newest([entry for entry in entries if isinstance(entry, _Row)])
        self._fc_resolve(list(newest.values()))
        todo = [row for row in newest.values() if self._fc_needs_work(row)]
        self._fc_apply_all(todo)
        self._fc_show_parked(newest.values())
        return [self._fc_report(entry, newest) for entry in entries]

    @api.model
    def _fc_parse(self, raw):
        """Return a `_Row`, or the result of a row that cannot be understood."""
        try:
            return _Row(parse_overage(raw), fingerprint(raw))
        except ValueError as error:
            return self._fc_unknown_result(raw, "parked") | {"error": str(error)[:ERROR_MAX]}

    @api.model
    def _fc_newest(self, rows):
        """Return {key: row} with the newest row of each key, the later among equals."""
        newest = {}
        for row in rows:
            other = newest.get(row.overage.key)
            if other is None or row.overage.version >= other.overage.version:
                newest[row.overage.key] = row
        return newest

    @api.model
    def _fc_needs_work(self, row):
        """Tell whether a row changes anything; set the status of one that does not."""
        overage, usage = row.overage, row.usage
        if usage.version and parse_version(usage.version) > overage.version:
            row.status = "stale"
            return False
        refusal = self._fc_refusal(row) or self._fc_changed_by_hand(row)
        if refusal:
            row.park(refusal)
            return False
        book = row.book = self._fc_book(row)
        settled = book.amount == book.goal(overage.amount)
        if settled and usage.detail == overage.detail and not usage.error:
            row.status = "unchanged" if row.lines or overage.amount else "nothing"
            usage.write(
                {
                    "version": overage.version_text,
                    "fingerprint": row.fingerprint,
                    "counters": min(overage.counters, COUNTERS_MAX),
                }
            )
            return False
        row.is_due = not settled
        refusal = row.is_due and self._fc_not_billable(row)
        if refusal:
            row.park(refusal)
            return False
        return True

    @api.model
    def _fc_apply_all(self, rows):
        """Write all rows in one savepoint; if one of them fails, order by order, so that only its order is parked."""
        chunks = defaultdict(list)
        for row in rows:
            chunks[row.order].append(row)
        if not chunks:
            return
        self.env["sale.order"].union(*chunks).lock_for_update(allow_referencing=True)
        try:
            with self.env.cr.savepoint():
                self._fc_apply(rows)
        except psycopg2.errors.UniqueViolation:
            raise
        except BAD_VALUES:
            for chunk in chunks.values():
                self._fc_apply_one_order(chunk)

    @api.model
    def _fc_apply_one_order(self, rows):
        self._fc_resolve(rows)  # the failed attempt left records that do not exist
        try:
            with self.env.cr.savepoint():
                self._fc_apply(rows)
        except psycopg2.errors.UniqueViolation:
            raise
        except BAD_VALUES as error:
            self._fc_resolve(rows)
            for row in rows:
                row.park(error)

    @api.model
    def _fc_show_parked(self, rows):
        """Leave a trace of parked rows where finance sees it; the accepted numbers of earlier rows stay."""
        for row in rows:
            if row.status != "parked" or row.usage.error == row.error:
                continue
            try:
                with self.env.cr.savepoint():
                    self._fc_show_error(row)
            except psycopg2.errors.UniqueViolation:
                raise
            except BAD_VALUES:
                _logger.warning("The parked row %s cannot be shown in Odoo: %s", row.overage.key, row.error)

    @api.model
    def _fc_show_error(self, row):
        if row.usage:
            row.usage.error = row.error
            return
        service = self.env["fusion.billing.service"].search([("code", "=", row.overage.service)], limit=1)
        self.env["fusion.billing.usage"].create(
            {**self._fc_usage_identity(row), "service_id": service.id, "error": row.error}
        )

    @api.model
    def _fc_report(self, entry, newest):
        """Return the result of one row: what Odoo holds for its key now."""
        if not isinstance(entry, _Row):
            return entry
        row = newest[entry.overage.key]
        currency = row.order.currency_id or self.env.company.currency_id
        frozen = row.lines.filtered(lambda line: line._fc_is_frozen())
        shown = self._fc_open_line(row) or row.lines[-1:]
        result = {
            "key": entry.overage.key,
            "status": entry.status if entry is row else "stale",
            "order_id": (shown.order_id or row.order).id or None,
            "line_id": shown.id or None,
            "revision": row.lines[-1:].x_fc_revision,
            "amount": money(self._fc_reached_amount(entry, row), currency) if row.order else "0",
            "invoiced_amount": money(sum((line._fc_own_amount() for line in frozen), Decimal(0)), currency),
        }
        if entry is not row:
            return result
        if entry.error:
            return result | {"error": entry.error}
        return result if entry.status == "stale" else result | {"fingerprint": entry.fingerprint}

    @api.model
    def _fc_reached_amount(self, entry, row):
        """Return the amount that Odoo stands for: the row's own, or of a refused row what the lines say."""
        if entry is row and entry.status not in ("parked", "stale"):
            return row.overage.amount
        by_hand = sum((line._fc_shown_amount() - line._fc_own_amount() for line in row.lines), Decimal(0))
        return self._fc_book(row).amount + by_hand
