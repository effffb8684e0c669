from odoo.tests import tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestLinesRead(FusionBillingCase):
    def held(self):
        self.env.invalidate_all()
        [held] = self.api.fc_read_lines(keys=[self.overage("0")["key"]])
        return held

    def test_what_was_written_is_read(self):
        result = self.upsert_one("100.00", 7)
        held = self.held()
        self.assertEqual((held["version"], held["total"], held["amount"]), ([0, 7, 0], "6000000", "100.00"))
        self.assertEqual((held["booked"], held["refunded"], held["error"]), ("100.00", "0.00", None))
        self.assertTrue(held["shows_total"])
        [line] = held["lines"]
        self.assertEqual((line["id"], line["order"], line["revision"]), (result["line_id"], self.order.name, 1))
        self.assertEqual((line["amount"], line["shown"], line["invoices"]), ("100.00", "100.00", []))
        self.assertEqual(self.api.fc_read_lines(line_ids=[result["line_id"]]), [held])

    def test_invoices_and_credits_are_told(self):
        self.upsert_one("100.00")
        invoice = self.freeze()
        self.upsert_one("60.00", 2)
        held = self.held()
        self.assertEqual((held["amount"], held["booked"]), ("60.00", "60.00"), "a pending credit counts")
        [invoiced] = held["lines"][0]["invoices"]
        self.assertEqual((invoiced["id"], invoiced["type"], invoiced["amount"]), (invoice.id, "invoice", "100.00"))

    def test_a_changed_line_shows(self):
        self.upsert_one("100.00")
        self.lines().price_unit = 90
        [line] = self.held()["lines"]
        self.assertEqual((line["amount"], line["shown"]), ("100.00", "90.00"))
        self.usage().quantity = 1
        self.assertFalse(self.held()["shows_total"])

    def test_a_parked_row_tells_its_reason(self):
        self.upsert_one("100.00", currency="XXX")
        self.assertIn("XXX", self.held()["error"])

    def test_unknown_keys_and_lines_are_left_out(self):
        self.assertEqual(self.api.fc_read_lines(keys=["no/such/key"], line_ids=[2**31 - 1]), [])
        self.assertEqual(self.api.fc_read_lines(), [])
