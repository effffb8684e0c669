from odoo import Command, api, fields, models

from ..lib.numbers import from_float, parse_decimal
from .account_move import PAID
from .fusion_billing_api import RowError

LINES_MAX = 100
PRICE_MAX = 10**9


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_void_invoice(self, service, invoice_id):
        """Withdraw an unpaid invoice. Its usage is to be invoiced again; to let it go, make a credit note."""
        api_su = self._fc_enter()
        return api_su._fc_answer(lambda: api_su._fc_told(api_su._fc_void(api_su._fc_invoice(service, invoice_id))))

    @api.model
    def fc_create_credit_note(self, service, invoice_id, request_id, amount=None, reason=None):
        """Credit a posted invoice in full, or `amount` of it before tax; the same request is answered with its note.

        What is credited stays billed usage: it is neither invoiced again nor credited again when usage falls.
        """
        api_su = self._fc_enter()
        return api_su._fc_answer(
            lambda: api_su._fc_told(
                api_su._fc_requested(service, request_id)
                or api_su._fc_credit(api_su._fc_invoice(service, invoice_id), request_id, amount, reason)
            )
        )

    @api.model
    def fc_create_invoice(self, service, customer, request_id, lines, currency=None):
        """Make and post a single invoice; the same request is answered with the invoice it has.

        Args:
            lines: ``{product_id, quantity, unit_price?, name?}``; numbers as decimal strings, the price before tax and,
                if missing, the product's.
        """
        api_su = self._fc_enter()
        return api_su._fc_answer(
            lambda: api_su._fc_told(
                api_su._fc_requested(service, request_id)
                or api_su._fc_single(api_su._fc_service({"service": service}), customer, request_id, lines, currency)
            )
        )

    @api.model
    def _fc_told(self, move):
        self.env.flush_all()
        return {"invoice": self._fc_invoice_value(move, lines=True)}

    @api.model
    def _fc_requested(self, service, request_id):
        """Return the document that the service asked for with this id before, or an empty record."""
        found = self._fc_service({"service": service})
        self._fc_text({"request_id": request_id}, "request_id")
        return self.env["account.move"].search(
            [("x_fc_service_id", "=", found.id), ("x_fc_request_id", "=", request_id)]
        )

    @api.model
    def _fc_void(self, move):
        if move.state == "cancel":
            return move
        if move.move_type != "out_invoice":
            raise RowError("only an invoice can be voided", "invoice_id")
        settled = move.amount_residual != move.amount_total
        if move.state == "posted" and (settled or move.payment_state in (*PAID, "partial", "reversed")):
            raise RowError("an invoice that is paid or credited, even in part, cannot be voided", "invoice_id")
        if move.state == "posted":
            move.button_draft()
        move.button_cancel()
        return move

    @api.model
    def _fc_credit(self, move, request_id, amount, reason):
        if move.state != "posted" or move.move_type != "out_invoice":
            raise RowError("only a posted invoice can be credited", "invoice_id")
        places = move.currency_id.decimal_places
        credited = sum(move.reversal_move_ids.filtered(lambda note: note.state != "cancel").mapped("amount_untaxed"))
        left = from_float(move.amount_untaxed - credited, places)
        wanted = left if amount is None else self._fc_amount(amount, "amount", places)
        if not 0 < wanted <= left:
            raise RowError(f"the amount must be above zero and at most {left}, what is left of the invoice", "amount")
        note = move._reverse_moves(
            [
                {
                    "invoice_date": fields.Date.context_today(move),
                    "ref": self._fc_text({"reason": reason}, "reason", required=False) or False,
                    "x_fc_request_id": request_id,
                }
            ]
        )
        if wanted != from_float(move.amount_untaxed, places):
            self._fc_shrink(note, wanted, from_float(move.amount_untaxed, places))
        note.action_post()
        self._fc_settle_with(move, note)
        return note

    @api.model
    def _fc_shrink(self, note, wanted, whole):
        """Bring a credit note to an amount: each line by the same share, the cents that remain on the last."""
        lines = note.invoice_line_ids.filtered(lambda line: line.display_type == "product" and line.price_subtotal)
        places, left = note.currency_id.decimal_places, wanted
        parts = []
        for line in lines[:-1]:
            part = (from_float(line.price_subtotal, places) * wanted / whole).quantize(left.scaleb(0))
            parts.append((line, part))
            left -= part
        parts.append((lines[-1:], left))
        note.write(
            {
                "invoice_line_ids": [
                    Command.update(line.id, {"quantity": 1, "price_unit": float(part), "discount": 0})
                    for line, part in parts
                ]
            }
        )

    @api.model
    def _fc_settle_with(self, move, note):
        """Set a credit note off against its invoice, as far as that is unpaid."""
        due = (move | note).line_ids.filtered(
            lambda line: line.account_id.account_type == "asset_receivable" and not line.reconciled
        )
        if len(due.move_id) > 1:
            due.reconcile()

    @api.model
    def _fc_single(self, service, customer, request_id, lines, currency):
        partner = self._fc_link(service, customer).partner_id
        if not isinstance(lines, list) or not 0 < len(lines) <= LINES_MAX:
            raise RowError(f"lines must be a list of 1 to {LINES_MAX} products", "lines")
        company = service.company_id
        money_of = self.env["res.currency"].search([("name", "=", currency)]) if currency else company.currency_id
        if not money_of:
            raise RowError(f"there is no active currency {currency!r:.10}", "currency")
        move = (
            self.env["account.move"]
            .with_company(company)
            .create(
                {
                    "move_type": "out_invoice",
                    "partner_id": partner.id,
                    "company_id": company.id,
                    "currency_id": money_of.id,
                    "x_fc_service_id": service.id,
                    "x_fc_request_id": request_id,
                    "invoice_user_id": False,
                    "invoice_line_ids": [
                        Command.create(self._fc_single_line(service, line, index)) for index, line in enumerate(lines)
                    ],
                }
            )
        )
        if move.amount_total <= 0:
            raise RowError("the invoice must come to more than zero", "lines")
        move.action_post()
        return move

    @api.model
    def _fc_single_line(self, service, line, index):
        values = self._fc_product_line(service, line, index)
        values["quantity"] = values.pop("product_uom_qty")
        price = line.get("unit_price")
        if price is not None:
            values["price_unit"] = float(self._fc_amount(price, f"lines.{index}.unit_price", 10))
        name = self._fc_text(line, "name", required=False)
        return {**values, "name": name} if name else values

    @api.model
    def _fc_amount(self, value, field, places):
        try:
            amount = parse_decimal(value, field)
        except ValueError as error:
            raise RowError(str(error), field) from error
        if not 0 <= amount < PRICE_MAX or amount != round(amount, places):
            raise RowError(f"{field} must be 0 or more and have at most {places} decimals", field)
        return amount
