import base64
from unittest.mock import patch

from odoo.tests import tagged

from .common import InvoiceCase


@tagged("post_install", "-at_install")
class TestInvoices(InvoiceCase):
    """The invoices as an app sees them, through the public methods."""

    def _single(self, request_id="r1", lines=None, **arguments):
        product = self.env["product.product"].create(
            {"name": "Throttle removal", "type": "service", "list_price": 25, "invoice_policy": "order"}
        )
        lines = lines or [{"product_id": product.id, "quantity": "2", "unit_price": "12.345"}]
        return self._call("fc_create_invoice", customer="c1", request_id=request_id, lines=lines, **arguments)

    def test_list_and_get(self):
        page = self._call("fc_list_invoices")
        self.assertEqual((page["status"], page["total"]), ("ok", 1))
        [listed] = page["invoices"]
        self.assertNotIn("lines", listed)
        invoice = self._on_invoice("fc_get_invoice")["invoice"]
        self.assertEqual(listed, {name: value for name, value in invoice.items() if name != "lines"})
        self.assertEqual((invoice["subscription"], invoice["customer"], invoice["state"]), ("sub/1", "c1", "posted"))
        self.assertEqual((invoice["amount_untaxed"], invoice["currency"]), ("100.00", self.order.currency_id.name))
        [line] = [line for line in invoice["lines"] if line["overage_key"]]
        self.assertEqual((line["amount"], line["overage_key"]), ("100.00", self.usage().key))
        self.assertEqual(line["period_start"], "2026-11-01T00:00:00Z")

    def test_list_by_subscription_customer_and_state(self):
        self._subscribe("sub/2")
        self.upsert(self.overage("20.00", subscription="sub/2"))
        for filters, total in (
            ({"subscription": "sub/1"}, 1),
            ({"subscription": "sub/2"}, 0),
            ({"customer": "c1"}, 1),
            ({"state": "draft"}, 0),
            ({"state": "posted", "limit": 1, "offset": 1}, 1),
        ):
            with self.subTest(filters):
                self.assertEqual(self._call("fc_list_invoices", **filters)["total"], total)
        self.assertEqual(self._call("fc_list_invoices", customer="nobody")["field"], "customer")
        self.assertEqual(self._call("fc_list_invoices", state="odd")["field"], "state")

    def test_hst_of_ontario_in_canadian_dollars(self):
        if self.company.chart_template != "ca_2023":
            self.skipTest("the company does not use the Canadian chart of accounts")
        invoice = self._on_invoice("fc_get_invoice")["invoice"]
        self.assertEqual((invoice["amount_tax"], invoice["amount_total"]), ("13.00", "113.00"))
        self.assertEqual((invoice["currency"], invoice["lines"][-1]["taxes"][0]["percent"]), ("CAD", "13"))
        single = self._single()["invoice"]
        self.assertEqual((single["amount_untaxed"], single["amount_total"]), ("24.69", "27.90"))
        note = self._on_invoice("fc_create_credit_note", request_id="n1", amount="50.00")["invoice"]
        self.assertEqual((note["amount_untaxed"], note["amount_total"]), ("50.00", "56.50"))
        self.assertEqual(self._on_invoice("fc_get_invoice")["invoice"]["amount_due"], "56.50")

    def test_other_services_see_nothing(self):
        self.env["fusion.billing.service"].create({"name": "Other", "code": "test-other"})
        self.assertEqual(self._call("fc_list_invoices", service="test-other")["total"], 0)
        for method, more in (
            ("fc_get_invoice", {}),
            ("fc_invoice_pdf", {}),
            ("fc_void_invoice", {}),
            ("fc_retry_payment", {}),
            ("fc_create_credit_note", {"request_id": "x"}),
        ):
            with self.subTest(method):
                answer = self._on_invoice(method, service="test-other", **more)
                self.assertEqual((answer["status"], answer["field"]), ("error", "invoice_id"))
        self.assertEqual(self.invoice.state, "posted")

    def test_bill_of_a_supplier_is_no_invoice(self):
        values = {"move_type": "in_invoice", "partner_id": self.invoice.partner_id.id}
        bill = self.env["account.move"].create({**values, "x_fc_service_id": self.service.id})
        self.assertEqual(self._on_invoice("fc_get_invoice", bill)["field"], "invoice_id")

    def test_pdf(self):
        reports = type(self.env["ir.actions.report"])
        with patch.object(reports, "_render_qweb_pdf", lambda *_args, **_more: (b"%PDF-1.4 test", "pdf")):
            answer = self._on_invoice("fc_invoice_pdf")
        self.assertEqual(base64.b64decode(answer["content"]), b"%PDF-1.4 test")
        self.assertRegex(answer["name"], r"^[^/]+\.pdf$")
        self.assertEqual(self._on_invoice("fc_invoice_pdf", self.invoice.copy())["status"], "error")

    def test_void_withdraws_and_the_usage_is_invoiced_again(self):
        for _again in range(2):
            self.assertEqual(self._on_invoice("fc_void_invoice")["invoice"]["state"], "cancel")
        self.assertEqual(self.lines().qty_to_invoice, 1)
        self.assertEqual(self.freeze().amount_untaxed, 100)

    def test_paid_or_credited_invoice_cannot_be_voided(self):
        self._on_invoice("fc_create_credit_note", request_id="n1", amount="1.00")
        self.assertEqual(self._on_invoice("fc_void_invoice")["status"], "error")
        self.assertEqual(self.invoice.state, "posted")

    def test_full_credit_note_once(self):
        first = self._on_invoice("fc_create_credit_note", request_id="n1", reason="Goodwill")["invoice"]
        again = self._on_invoice("fc_create_credit_note", request_id="n1", reason="Goodwill")["invoice"]
        self.assertEqual((first["id"], first["type"]), (again["id"], "credit_note"))
        self.assertEqual(first["reversed_invoice_id"], self.invoice.id)
        self.assertEqual((first["amount_untaxed"], self.invoice.payment_state), ("100.00", "reversed"))
        self.assertEqual(self._on_invoice("fc_create_credit_note", request_id="n2")["field"], "amount")
        self.assertEqual(self.lines().qty_to_invoice, 0)
        self.assertEqual(self.upsert_one("100.00", 2)["status"], "unchanged")

    def test_credit_in_parts_never_exceeds_the_invoice(self):
        for request_id, amount in (("n1", "33.33"), ("n2", "33.33")):
            note = self._on_invoice("fc_create_credit_note", request_id=request_id, amount=amount)["invoice"]
            self.assertEqual(note["amount_untaxed"], amount)
        for bad in ("33.35", "0", "-1", "1.005", 5, "NaN"):
            with self.subTest(bad):
                answer = self._on_invoice("fc_create_credit_note", request_id="n3", amount=bad)
                self.assertEqual(answer["field"], "amount")
        rest = self._on_invoice("fc_create_credit_note", request_id="n3")["invoice"]
        self.assertEqual(rest["amount_untaxed"], "33.34")
        self.assertLessEqual(self.invoice.amount_residual, 0.01, "each note's tax is rounded by itself")

    def test_single_invoice_once_and_its_payment_is_told(self):
        first = self._single()["invoice"]
        self.assertEqual((first["amount_untaxed"], first["state"], first["subscription"]), ("24.69", "posted", None))
        self.assertEqual(self._single()["invoice"]["id"], first["id"])
        move = self.env["account.move"].browse(first["id"])
        wizard = self.env["account.payment.register"].with_context(active_model="account.move", active_ids=move.ids)
        wizard.create({}).action_create_payments()
        self.env.cr.flush()
        told = [event for event in self.api.fc_outbox_read(limit=1000) if event["data"].get("invoice_id") == move.id]
        self.assertEqual([event["type"] for event in told], ["invoice.posted", "invoice.paid"])
        self.assertEqual({(event["subscription"], event["customer"]) for event in told}, {(None, "c1")})

    def test_bad_single_invoice_is_refused_whole(self):
        product = self.env["product.product"].create({"name": "Free", "type": "service", "list_price": 0})
        good = {"product_id": product.id, "quantity": "1", "unit_price": "5"}
        for lines, field in (
            ([], "lines"),
            ("x", "lines"),
            ([{**good, "product_id": 0}], "lines.0.product_id"),
            ([good, {**good, "quantity": "-1"}], "lines.1.quantity"),
            ([{**good, "unit_price": "-5"}], "lines.0.unit_price"),
            ([{**good, "unit_price": "0"}], "lines"),
            ([{**good, "name": "x" * 100_000}], "name"),
        ):
            with self.subTest(field):
                answer = self._call("fc_create_invoice", customer="c1", request_id="r2", lines=lines)
                self.assertEqual((answer["status"], answer["field"]), ("error", field))
        self.assertEqual(self._single(request_id="")["field"], "request_id")
        self.assertEqual(self._single(currency="XXX")["field"], "currency")
        self.assertEqual(self._call("fc_list_invoices")["total"], 1)

    def test_tax_of_another_province(self):
        if self.company.chart_template != "ca_2023":
            self.skipTest("the company does not use the Canadian chart of accounts")
        self.order.partner_id.state_id = self.env.ref("base.state_ca_ab")
        invoice = self._single(request_id="ab")["invoice"]
        self.assertEqual(invoice["lines"][0]["taxes"][0]["percent"], "5")
