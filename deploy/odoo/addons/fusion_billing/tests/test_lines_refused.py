from unittest.mock import patch

from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestLinesRefused(FusionBillingCase):
    def _assert_parked(self, result, words):
        self.assertEqual(result["status"], "parked")
        self.assertIn(words, result["error"])

    def test_bad_rows_do_not_harm_their_neighbours(self):
        bad = [
            {"key": 3},
            "no row",
            self.overage("1.00", subscription="unknown"),
            self.overage("1.00", charge="unknown"),
            self.overage("1.00", currency="USD"),
            self.overage("1.005", subscription="sub/1", period_start="2026-10-01T00:00:00Z"),
            self.overage("-1.00"),
            self.overage("NaN", total="5"),
            self.overage(1.5),
            self.overage("1.00", metric="x" * 100_000),
            self.overage("1.00", metric="\ud800"),
            self.overage("1.00", key="test-maps/other/key/2026-11-01T00:00:00Z"),
            self.overage("1.00", version=[1, 2]),
        ]
        self._subscribe("sub/2")
        results = self.upsert(*bad, self.overage("20.00", subscription="sub/2"))
        self.assertEqual([result["status"] for result in results], ["parked"] * len(bad) + ["created"])
        self.assertTrue(all(result["error"] for result in results[:-1]))

    def test_reason_is_shown_on_the_usage_and_goes_when_it_is_mended(self):
        self.order.action_lock()
        self._assert_parked(self.upsert_one("100.00"), "locked")
        self.assertEqual(self.usage().state, "parked")
        self.order.action_unlock()
        self.assertEqual(self.upsert_one("100.00")["status"], "created")
        self.assertEqual((self.usage().state, self.usage().error), ("open", False))

    def test_unknown_order_is_shown_and_billed_once_it_is_there(self):
        self._assert_parked(self.upsert_one("5.00", subscription="later"), "no subscription later")
        self.assertEqual(self.usage(subscription="later").state, "parked")
        order = self._subscribe("later")
        self.assertEqual(self.upsert_one("5.00", subscription="later")["status"], "created")
        self.assertEqual(self.usage(subscription="later").subscription_id, order)

    def test_absurdly_large_numbers_are_parked_and_do_not_fail_the_call(self):
        huge = "9" * 30
        result = self.upsert_one("1.00", subscription="nobody", total=huge, counters=2**62)
        self._assert_parked(result, "no subscription")
        self.assertEqual(self.upsert_one("1.00", total=huge, counters=2**62)["status"], "created")

    def test_cancelled_order_takes_no_line(self):
        self.order._action_cancel()
        self._assert_parked(self.upsert_one("100.00"), "cancel")
        self.assertFalse(self.lines())

    def test_missing_income_account_parks(self):
        product, company = self.charge.product_id, self.order.company_id
        self.env["account.journal"].search([("type", "=", "sale")]).default_account_id = False
        product.property_account_income_id = False
        company.income_account_id = False
        product.categ_id.property_account_income_categ_id = False
        if product.product_tmpl_id._get_product_accounts()["income"]:
            self.skipTest("this Odoo finds an account elsewhere")
        self._assert_parked(self.upsert_one("100.00"), "income account")

    def test_closed_order_that_is_up_to_date_is_not_parked(self):
        self.upsert_one("100.00")
        self.order.set_close()
        self.assertEqual(self.upsert_one("100.00", 2)["status"], "unchanged")

    def test_archived_product_parks(self):
        self.charge.product_id.action_archive()
        self._assert_parked(self.upsert_one("100.00"), "archived")

    def test_other_service_s_charge_parks(self):
        other = self.env["fusion.billing.service"].create({"name": "Other", "code": "test-other"})
        foreign = self.charge.copy({"service_id": other.id, "name": "Foreign"})
        self._assert_parked(self.upsert_one("1.00", charge=foreign.code), "another service")

    def test_other_company_s_charge_parks(self):
        self.charge.service_id = False
        self.charge.company_id = self.env["res.company"].create({"name": "Elsewhere"})
        self._assert_parked(self.upsert_one("100.00"), "another company")

    def test_odoo_s_refusal_parks_that_order_only(self):
        other = self._subscribe("sub/2")
        line_model = type(self.env["sale.order.line"])
        create = line_model.create

        def refuse(records, vals_list):
            if any(vals.get("order_id") == self.order.id for vals in vals_list):
                raise ValidationError("not this one")  # pylint: disable=translation-required
            return create(records, vals_list)

        with patch.object(line_model, "create", refuse):
            results = self.upsert(self.overage("100.00"), self.overage("20.00", subscription="sub/2"))
        self._assert_parked(results[0], "not this one")
        self.assertEqual(results[1]["status"], "created")
        self.assertEqual(self.lines(other).price_unit, 20)
        self.assertEqual(self.usage().error, "not this one")
        self.assertEqual(self.upsert_one("100.00")["status"], "created")

    def test_too_many_rows_are_refused_as_a_whole(self):
        with self.assertRaises(UserError):
            self.api.fc_upsert_lines(rows=[{}] * 501)
