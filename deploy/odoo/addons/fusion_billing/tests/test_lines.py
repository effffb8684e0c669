import psycopg2

from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestLines(FusionBillingCase):
    def test_first_row_makes_one_line_with_its_arithmetic(self):
        result = self.upsert_one("100.00")
        self.assertEqual(result["status"], "created")
        self.assertEqual((result["amount"], result["invoiced_amount"], result["revision"]), ("100.00", "0.00", 1))
        line = self.lines()
        self.assertEqual((line.product_uom_qty, line.price_unit, line.discount), (1, 100, 0))
        self.assertEqual(line.x_fc_key, self.overage("0")["key"] + "#1")
        for words in ("Calls over quota", "6,000,000 used", "1,000,000 over", "1,000 × 1,000", "100.00 CAD"):
            self.assertIn(words, line.name)
        self.assertIn("11/30/2026", line.name, "the last day is shown inclusive")
        self.assertEqual((self.usage().state, self.usage().quantity), ("open", 6000000))

    def test_same_row_again_changes_nothing(self):
        self.upsert_one("100.00")
        messages = len(self.order.message_ids)
        self.assertEqual(self.upsert_one("100.00")["status"], "unchanged")
        self.assertEqual(len(self.lines()), 1)
        self.assertEqual(len(self.order.message_ids), messages)

    def test_new_amount_updates_the_line_without_chatter(self):
        self.upsert_one("100.00")
        messages = len(self.order.message_ids)
        self.assertEqual(self.upsert_one("150.00", 2)["status"], "updated")
        self.assertEqual(self.lines().price_unit, 150)
        self.env.cr.flush()
        self.assertEqual(len(self.order.message_ids), messages)

    def test_lowered_to_zero_keeps_the_line_at_zero(self):
        self.upsert_one("100.00")
        result = self.upsert_one("0", 2)
        self.assertEqual((result["status"], result["amount"]), ("updated", "0.00"))
        self.assertEqual(self.lines().mapped("price_unit"), [0])

    def test_nothing_over_the_quota_makes_no_line_but_shows_the_usage(self):
        result = self.upsert_one("0")
        self.assertEqual((result["status"], result["line_id"]), ("nothing", None))
        self.assertFalse(self.lines())
        self.assertEqual(self.usage().state, "included")

    def test_older_version_is_stale(self):
        self.upsert_one("100.00", 5)
        self.assertEqual(self.upsert_one("50.00", 4)["status"], "stale")
        self.assertEqual(self.lines().price_unit, 100)

    def test_version_advances_even_when_nothing_else_changed(self):
        self.upsert_one("100.00", 1)
        self.upsert_one("100.00", 9)
        self.assertEqual(self.upsert_one("50.00", 5)["status"], "stale")

    def test_versions_compare_as_numbers(self):
        self.upsert_one("100.00", 9)
        self.assertEqual(self.upsert_one("120.00", 10)["status"], "updated")

    def test_same_key_twice_in_a_call_takes_the_newest(self):
        results = self.upsert(self.overage("80.00", 3), self.overage("70.00", 2))
        self.assertEqual([result["status"] for result in results], ["created", "stale"])
        self.assertEqual(self.lines().price_unit, 80)

    def test_invoiced_line_is_frozen_and_the_rise_is_a_revision(self):
        self.upsert_one("100.00")
        self.freeze()
        result = self.upsert_one("130.00", 2)
        self.assertEqual((result["status"], result["revision"]), ("created", 2))
        self.assertEqual((result["amount"], result["invoiced_amount"]), ("130.00", "100.00"))
        self.assertEqual(self.lines().mapped("price_unit"), [100, 30])
        self.assertIn("settled before: 100.00", self.lines()[-1].name)
        self.assertEqual(self.upsert_one("130.00", 2)["status"], "unchanged")

    def test_open_revision_is_updated_in_place(self):
        self.upsert_one("100.00")
        self.freeze()
        self.upsert_one("130.00", 2)
        self.assertEqual(self.upsert_one("120.00", 3)["status"], "updated")
        self.assertEqual(self.lines().mapped("price_unit"), [100, 20])

    def test_fall_after_invoicing_is_a_pending_credit(self):
        self.upsert_one("100.00")
        self.freeze()
        result = self.upsert_one("60.00", 2)
        self.assertEqual((result["status"], result["amount"]), ("credited", "60.00"))
        self.assertEqual(self.lines().mapped("price_unit"), [100])
        credit = self.env["fusion.billing.credit"].search([("subscription_id", "=", self.order.id)])
        self.assertEqual((credit.amount, credit.state, self.usage().state), (40, "pending", "credited"))
        self.assertEqual(self.upsert_one("60.00", 2)["status"], "unchanged")

    def test_fall_takes_the_open_revision_first(self):
        self.upsert_one("100.00")
        self.freeze()
        self.upsert_one("130.00", 2)
        self.assertEqual(self.upsert_one("90.00", 3)["status"], "credited")
        self.assertEqual(self.lines().mapped("price_unit"), [100, 0])
        credit = self.env["fusion.billing.credit"].search([("subscription_id", "=", self.order.id)])
        self.assertEqual(credit.amount, 10)

    def test_next_period_uses_the_credit_before_it_makes_a_line(self):
        self.upsert_one("100.00")
        self.freeze()
        self.upsert_one("60.00", 2)
        december = {"period_start": "2026-12-01T00:00:00Z", "period_end": "2027-01-01T00:00:00Z"}
        first = self.upsert_one("30.00", 3, **december)
        self.assertEqual((first["status"], first["line_id"], first["amount"]), ("updated", None, "30.00"))
        second = self.upsert_one("50.00", 4, **december)
        self.assertEqual((second["status"], second["amount"]), ("created", "50.00"))
        line = self.env["sale.order.line"].browse(second["line_id"])
        self.assertEqual(line.price_unit, 10, "40 of the 50 were credit")
        credit = self.env["fusion.billing.credit"].search([("subscription_id", "=", self.order.id)])
        self.assertEqual((credit.amount_used, credit.state), (40, "used"))

    def test_sum_of_lines_and_credits_is_always_the_last_amount(self):
        for offset, amount in enumerate(("100.00", "40.00", "75.50", "10.00", "200.10", "0", "33.33"), start=1):
            self.assertEqual(self.upsert_one(amount, offset)["amount"], f"{float(amount):.2f}")
            if offset % 2:
                self.order.with_context(raise_if_nothing_to_invoice=False)._create_invoices(final=False)
        credits_ = self.env["fusion.billing.credit"].search([("subscription_id", "=", self.order.id)])
        pending = sum(credits_.mapped("amount_pending"))
        self.assertAlmostEqual(sum(self.lines().mapped("price_unit")) - pending, 33.33)

    def test_price_list_and_quantity_do_not_touch_the_amount(self):
        self.upsert_one("100.00")
        self.lines().product_uom_qty = 2
        self.order.action_update_prices()
        self.assertEqual(self.lines().price_unit, 100)

    def test_line_bears_the_province_s_tax(self):
        if self.company.chart_template != "ca_2023":
            self.skipTest("the company does not use the Canadian chart of accounts")
        self.upsert_one("100.00")
        self.assertEqual(self.lines().tax_ids.mapped("amount"), [13])
        invoice = self.freeze()
        self.assertEqual((invoice.amount_untaxed, invoice.amount_total), (100, 113))

    def test_database_refuses_a_second_line_with_the_same_key(self):
        self.upsert_one("100.00")
        with self.assertRaises(psycopg2.IntegrityError), mute_logger("odoo.sql_db"), self.cr.savepoint():
            self.lines().copy({"order_id": self.order.id, "x_fc_key": self.lines().x_fc_key})

    def test_each_subscription_has_its_own_invoice(self):
        other = self._subscribe("sub/2")
        self.upsert(self.overage("100.00"), self.overage("20.00", subscription="sub/2"))
        invoices = (self.order | other)._create_invoices()
        self.assertEqual(sorted(invoices.mapped("amount_untaxed")), [20, 100])
        self.assertEqual(invoices.x_fc_subscription_id, self.order | other)
