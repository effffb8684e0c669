from odoo.tests import tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestShortRows(FusionBillingCase):
    """Rows that name the words Odoo is thought to hold, in place of saying them again."""

    def short(self, fingerprint, offset, **values):
        row = self.overage("0", offset, **values)
        return {"key": row["key"], "version": row["version"], "fingerprint": fingerprint}

    def test_it_is_unchanged_and_its_version_counts(self):
        told = self.upsert_one("100.00", 1)
        [result] = self.upsert(self.short(told["fingerprint"], 9))
        self.assertEqual(result, {**told, "status": "unchanged"})
        self.assertEqual(self.upsert_one("50.00", 5)["status"], "stale")
        self.assertEqual(self.upsert(self.short(told["fingerprint"], 8))[0]["status"], "stale")

    def test_other_words_than_those_held_are_asked_for_whole(self):
        told = self.upsert_one("100.00", 1)
        self.upsert_one("150.00", 2)
        [result] = self.upsert(self.short(told["fingerprint"], 9))
        self.assertEqual((result["status"], result["key"]), ("incomplete", self.overage("0")["key"]))
        self.assertEqual(self.usage().version, "0.2.0")
        self.assertEqual(self.lines().price_unit, 150)

    def test_an_unknown_key_is_asked_for_whole(self):
        [result] = self.upsert(self.short("00ff", 1))
        self.assertEqual((result["status"], result["line_id"]), ("incomplete", None))
        self.assertFalse(self.usage())

    def test_what_a_person_changed_is_asked_for_whole_and_shown(self):
        told = self.upsert_one("100.00", 1)
        self.lines().price_unit = 90
        self.assertEqual(self.upsert(self.short(told["fingerprint"], 2))[0]["status"], "incomplete")
        self.assertEqual(self.upsert_one("100.00", 2)["status"], "parked")
        self.assertEqual((self.usage().state, self.lines().price_unit), ("parked", 90))

    def test_what_was_refused_is_asked_for_whole(self):
        told = self.upsert_one("100.00", 1)
        refused = self.upsert_one("100.00", 2, currency="EUR")
        self.assertEqual((refused["status"], "fingerprint" in refused), ("parked", False))
        self.assertEqual(self.upsert(self.short(told["fingerprint"], 3))[0]["status"], "incomplete")

    def test_short_and_whole_rows_share_a_call(self):
        self._subscribe("sub/2")
        told = self.upsert_one("100.00", 1)
        results = self.upsert(
            self.overage("20.00", 1, subscription="sub/2"),
            self.short(told["fingerprint"], 2),
            self.short("00ff", 2, subscription="sub/3"),
            {"fingerprint": "00ff"},
        )
        self.assertEqual([result["status"] for result in results], ["created", "unchanged", "incomplete", "incomplete"])
        self.assertEqual(results[3]["key"], "")

    def test_every_accepted_row_is_named_by_the_same_words(self):
        told = [self.upsert_one(amount, offset) for offset, amount in enumerate(("0", "10.00", "10.00", "0"), start=1)]
        self.assertEqual([each["status"] for each in told], ["nothing", "created", "unchanged", "updated"])
        self.assertEqual(told[1]["fingerprint"], told[2]["fingerprint"])
        self.assertEqual(told[0]["fingerprint"], told[3]["fingerprint"])
        self.assertNotIn("fingerprint", self.upsert_one("5.00", 1), "an older row is not what Odoo holds")


@tagged("post_install", "-at_install")
class TestStoredForACall(FusionBillingCase):
    """What is stored for all rows of a call at once is what Odoo would have written one by one."""

    def test_each_row_has_its_own_numbers_and_words(self):
        self._subscribe("sub/2")
        amounts = {"sub/1": ("100.00", "150.00"), "sub/2": ("20.00", "70.10")}
        for offset in (0, 1):
            self.upsert(*(self.overage(of[offset], offset + 1, subscription=name) for name, of in amounts.items()))
        for name, of in amounts.items():
            usage = self.usage(subscription=name)
            self.assertEqual((usage.amount, usage.version, usage.counters), (float(of[1]), "0.2.0", 3))
            self.assertEqual(usage.quantity, 5000000 + float(of[1]) * 10000)
            [line] = usage.line_ids
            self.assertEqual((line.price_unit, line.x_fc_amount, line.x_fc_version), (float(of[1]),) * 2 + ("0.2.0",))
            self.assertIn(f"= {of[1]} CAD", line.name)
            self.assertEqual((usage.write_uid, line.write_uid), (self.api.env.user,) * 2)

    def test_amounts_and_taxes_of_line_and_order_follow(self):
        if self.company.chart_template != "ca_2023":
            self.skipTest("the company does not use the Canadian chart of accounts")
        self.upsert_one("100.00", 1)
        for offset, (amount, tax) in enumerate({"33.35": 4.34, "0.04": 0.01, "0": 0, "1234.56": 160.49}.items(), 2):
            self.upsert_one(amount, offset)
            line = self.lines()
            whole = round(float(amount) + tax, 2)
            self.assertEqual(
                (line.price_subtotal, round(line.price_tax, 2), line.price_total), (float(amount), tax, whole)
            )
            self.assertEqual((self.order.amount_untaxed, self.order.amount_total), (float(amount), whole))
            self.assertEqual(line.qty_to_invoice, 1)

    def test_a_total_with_more_digits_than_a_float_is_shown_to_the_millionth(self):
        self.upsert_one("0", 1)
        self.upsert_one("0", 2, total="123456789012345678.1234565")
        self.env.cr.execute("SELECT quantity FROM fusion_billing_usage WHERE id = %s", [self.usage().id])
        self.assertEqual(str(self.env.cr.fetchone()[0]), "1.2345678901234568e+17")
        [held] = self.api.fc_read_lines(keys=[self.usage().key])
        self.assertTrue(held["shows_total"])

    def test_a_changed_total_that_costs_the_same_changes_only_what_is_shown(self):
        self.upsert_one("100.00", 1)
        messages = len(self.order.message_ids)
        self.assertEqual(self.upsert_one("100.00", 2, total="5999999.5")["status"], "updated")
        self.assertEqual((self.usage().quantity, self.lines().price_unit), (5999999.5, 100))
        self.assertIn("5,999,999.5 used", self.lines().name)
        self.assertEqual(len(self.order.message_ids), messages)
