import base64

from odoo import api, models
from odoo.exceptions import LockError, UserError

from ..lib.numbers import from_float, money, plain
from ..lib.times import format_instant
from .fusion_billing_api import RowError

INVOICES_MAX = 200
KINDS = ("out_invoice", "out_refund")
STATES = ("draft", "posted", "cancel")
QUANTITY_PLACES = 6


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_list_invoices(self, service, subscription=None, customer=None, state=None, limit=50, offset=0):
        """Return a service's invoices and credit notes without their lines, the newest first.

        Returns:
            ``{status: "ok", invoices: […], total}`` or ``{status: "error", error, field?}``.
        """
        api_su = self._fc_enter()
        return api_su._fc_answer(
            lambda: api_su._fc_list_invoices(service, subscription, customer, state, limit, offset)
        )

    @api.model
    def fc_get_invoice(self, service, invoice_id):
        """Return ``{status: "ok", invoice}`` with the invoice's lines."""
        api_su = self._fc_enter()
        return api_su._fc_answer(
            lambda: {"invoice": api_su._fc_invoice_value(api_su._fc_invoice(service, invoice_id), lines=True)}
        )

    @api.model
    def fc_invoice_pdf(self, service, invoice_id):
        """Return ``{status: "ok", name, content}``, the posted invoice as PDF in base64."""
        api_su = self._fc_enter()
        return api_su._fc_answer(lambda: api_su._fc_pdf(api_su._fc_invoice(service, invoice_id)))

    @api.model
    def _fc_answer(self, work):
        """Return what `work` returns with status ok, or why it was refused; a refusal leaves nothing behind."""
        try:
            with self.env.cr.savepoint():
                return {"status": "ok", **work()}
        except RowError as error:
            return {"status": "error", "error": str(error), **({"field": error.field} if error.field else {})}
        except LockError:
            raise  # another call works on it: the same call will succeed later
        except UserError as error:
            return {"status": "error", "error": str(error)}

    @api.model
    def _fc_list_invoices(self, service, subscription, customer, state, limit, offset):
        found = self._fc_service({"service": service})
        domain = [("x_fc_service_id", "=", found.id), ("move_type", "in", KINDS)]
        if subscription is not None:
            domain.append(("x_fc_subscription_id.x_fc_external_id", "=", subscription))
        if customer is not None:
            link = self._fc_link(found, customer)
            domain.append(("commercial_partner_id", "=", link.partner_id.commercial_partner_id.id))
        if state is not None:
            if state not in STATES:
                raise RowError(f"state must be one of {', '.join(STATES)}", "state")
            domain.append(("state", "=", state))
        moves = self.env["account.move"]
        page = moves.search(
            domain, order="id desc", limit=max(1, min(int(limit), INVOICES_MAX)), offset=max(0, int(offset))
        )
        return {
            "invoices": [self._fc_invoice_value(move) for move in page],
            "total": moves.search_count(domain),
        }

    @api.model
    def _fc_link(self, service, customer):
        link = self.env["fusion.billing.account.link"].search(
            [("service_id", "=", service.id), ("external_id", "=", customer)]
        )
        if not link:
            raise RowError(f"there is no customer {customer!r:.80} of {service.code}", "customer")
        return link

    @api.model
    def _fc_invoice(self, service, invoice_id):
        """Return an invoice or credit note of the service; another service's is as unknown as one that is not there."""
        found = self._fc_service({"service": service})
        is_id = isinstance(invoice_id, int) and not isinstance(invoice_id, bool) and 0 < invoice_id < 2**31
        move = self.env["account.move"].search(
            [
                ("id", "=", invoice_id if is_id else 0),
                ("x_fc_service_id", "=", found.id),
                ("move_type", "in", KINDS),
            ]
        )
        if not move:
            raise RowError(f"there is no invoice {invoice_id!r:.40} of {found.code}", "invoice_id")
        return move.with_company(move.company_id)

    @api.model
    def _fc_invoice_value(self, move, lines=False):
        """Return an invoice as JSON; amounts are decimal strings in its currency."""
        order, service = move._fc_subscription(), move.x_fc_service_id
        link = self.env["fusion.billing.account.link"].search(
            [
                ("service_id", "=", service.id),
                ("partner_id", "in", (move.partner_id | move.commercial_partner_id).ids),
            ],
            order="id",
            limit=1,
        )
        value = {
            "id": move.id,
            "number": move.name if move.name != "/" else None,
            "type": "credit_note" if move.move_type == "out_refund" else "invoice",
            "state": move.state,
            "payment_state": move.payment_state or None,
            "service": service.code,
            "subscription": (order._fc_told_external_id() or None) if order else None,
            "customer": link.external_id or None,
            "created_at": format_instant(move.create_date.replace(microsecond=0)),
            "invoice_date": move.invoice_date and move.invoice_date.isoformat() or None,
            "due_date": move.invoice_date_due and move.invoice_date_due.isoformat() or None,
            "currency": move.currency_id.name,
            "amount_untaxed": money(move.amount_untaxed, move.currency_id),
            "amount_tax": money(move.amount_tax, move.currency_id),
            "amount_total": money(move.amount_total, move.currency_id),
            "amount_due": money(move.amount_residual, move.currency_id),
            "reversed_invoice_id": move.reversed_entry_id.id or None,
            "request_id": move.x_fc_request_id or None,
        }
        if lines:
            value["lines"] = [self._fc_invoice_line_value(line) for line in move.invoice_line_ids]
        return value

    @api.model
    def _fc_invoice_line_value(self, line):
        usage = line.sale_line_ids.x_fc_usage_id[:1]
        return {
            "id": line.id,
            "name": line.name or "",
            "quantity": plain(from_float(line.quantity, QUANTITY_PLACES)),
            "unit_price": plain(from_float(line.price_unit, 10)),
            "amount": money(line.price_subtotal, line.currency_id),
            "amount_total": money(line.price_total, line.currency_id),
            "taxes": [{"name": tax.name, "percent": plain(from_float(tax.amount, 6))} for tax in line.tax_ids],
            "overage_key": usage.key or None,
            "charge": usage.charge_id.code or None,
            "period_start": usage.period_start and format_instant(usage.period_start) or None,
            "period_end": usage.period_end and format_instant(usage.period_end) or None,
        }

    @api.model
    def _fc_pdf(self, move):
        if move.state != "posted":
            raise RowError("only a posted invoice has a PDF", "invoice_id")
        reports = self.env["ir.actions.report"].with_context(lang=move.partner_id.lang)
        content, kind = reports._render_qweb_pdf("account.account_invoices", res_ids=move.ids)
        if kind != "pdf":
            raise RowError("this Odoo cannot make a PDF: wkhtmltopdf is missing")
        name = move._get_report_base_filename().replace("/", "-")
        return {"name": f"{name}.pdf", "content": base64.b64encode(content).decode()}
