import logging
from datetime import date

from freezegun import freeze_time

from odoo.tests import tagged

from .common import FusionBillingCase

_logger = logging.getLogger(__name__)

# What this addon reads or writes that `sale_subscription` defines.
FIELDS = {
    "sale.order": {
        "is_subscription": "boolean",
        "plan_id": "many2one",
        "subscription_state": "selection",
        "subscription_id": "many2one",
        "subscription_child_ids": "one2many",
        "start_date": "date",
        "next_invoice_date": "date",
        "end_date": "date",
        "first_contract_date": "date",
        "payment_token_id": "many2one",
    },
    "sale.subscription.plan": {"billing_period_value": "integer", "billing_period_unit": "selection"},
    "product.template": {"recurring_invoice": "boolean"},
    "sale.order.line": {"recurring_invoice": "boolean"},
}
STATES = {"1_draft", "2_renewal", "3_progress", "4_paused", "5_renewed", "6_churn", "7_upsell"}


@tagged("post_install", "-at_install", "subscription_contract", "enterprise_contract")
class TestSubscriptionContract(FusionBillingCase):
    """What this addon takes for granted of `sale_subscription`.

    Written against what both Enterprise's addon and the development stand-in offer, so that the same tests tell on a
    licensed database whether the assumptions hold there: `--test-tags subscription_contract`.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        module = cls.env["ir.module.module"].search([("name", "=", "sale_subscription")])
        kind = "the development stand-in" if cls.service._fc_is_stand_in() else "the real one"
        _logger.info("sale_subscription %s by %s: %s", module.installed_version, module.author, kind)

    def setUp(self):
        super().setUp()
        lines = [{"product_id": self.recurring_product(50).id, "quantity": "1"}]
        self.flat = self._subscribe("flat", start_date="2026-11-01", lines=lines)

    def _run_cron(self, day):
        with freeze_time(day):
            self.env["sale.order"]._cron_recurring_create_invoice()
        self.env.invalidate_all()
        return self.flat.invoice_ids.filtered(lambda move: move.move_type == "out_invoice").sorted("id")

    def _owe(self, amount, offset=1, **values):
        return self.upsert_one(amount, offset, subscription="flat", **values)

    def test_fields_and_states_are_there(self):
        found = {
            model: {name: self.env[model]._fields[name].type for name in names if name in self.env[model]._fields}
            for model, names in FIELDS.items()
        }
        self.assertEqual(found, FIELDS)
        states = self.env["sale.order"].fields_get(["subscription_state"])["subscription_state"]["selection"]
        self.assertLessEqual(STATES, {state for state, _label in states})

    def test_confirmed_subscription_is_in_progress(self):
        self.assertTrue(self.flat.is_subscription)
        self.assertEqual((self.flat.state, self.flat.subscription_state), ("sale", "3_progress"))
        self.assertEqual(self.flat.next_invoice_date, date(2026, 11, 1))

    def test_overage_line_is_billed_once_with_the_next_period(self):
        self.assertEqual(self._run_cron("2026-11-01").mapped("amount_untaxed"), [50])
        self.assertEqual(self.flat.next_invoice_date, date(2026, 12, 1))
        self._owe("100.00")
        self.assertEqual(self._run_cron("2026-11-15").mapped("amount_untaxed"), [50], "not before it is due")
        self.assertEqual(self._run_cron("2026-12-01").mapped("amount_untaxed"), [50, 150])
        self.assertEqual(self._run_cron("2027-01-01").mapped("amount_untaxed"), [50, 150, 50])
        self.assertEqual(set(self.flat.invoice_ids.mapped("state")), {"posted"})

    def test_paused_and_closed_subscriptions_are_not_invoiced(self):
        self._run_cron("2026-11-01")
        self._owe("100.00")
        self.flat.subscription_state = "4_paused"
        self.assertEqual(len(self._run_cron("2026-12-01")), 1)
        self.flat.subscription_state = "3_progress"
        self.flat.set_close()
        self.assertEqual(self.flat.subscription_state, "6_churn")
        self.assertEqual(len(self._run_cron("2026-12-02")), 1)

    def test_draft_invoice_holds_the_subscription_up(self):
        draft = self.flat._create_invoices()
        self.assertLessEqual(len(self._run_cron("2026-12-01") - draft), 0)

    def test_cancelled_order_is_not_invoiced(self):
        self._owe("100.00")
        self.flat._action_cancel()
        self.assertEqual(self.flat.state, "cancel")
        self.assertFalse(self._run_cron("2026-12-01"))

    def test_renewal_takes_the_recurring_lines_and_leaves_ours(self):
        self._run_cron("2026-11-01")
        self._owe("100.00")
        renewal = self.env["sale.order"].browse(self.flat.prepare_renewal_order()["res_id"])
        self.assertEqual((renewal.subscription_state, renewal.subscription_id), ("2_renewal", self.flat))
        self.assertFalse(renewal.order_line.filtered("x_fc_key"))
        self.assertTrue(renewal.order_line.filtered("recurring_invoice"))
        renewal.action_confirm()
        self.assertEqual((self.flat.subscription_state, renewal.subscription_state), ("5_renewed", "3_progress"))
        self.assertIn(renewal, self.flat.subscription_child_ids)
        self.assertEqual(len(self._run_cron("2026-12-01")), 1, "what was renewed is not invoiced again")

    def test_line_with_a_price_of_its_own_keeps_it(self):
        self._owe("100.00")
        line = self.flat.order_line.filtered("x_fc_key")
        self.flat.order_line.filtered("recurring_invoice").product_uom_qty = 3
        self.flat._recompute_prices()
        self.assertEqual((line.price_unit, line.product_uom_qty, line.discount), (100, 1, 0))

    def test_reopened_subscription_is_in_progress(self):
        self.flat.set_close()
        self.flat.reopen_order()
        self.assertEqual(self.flat.subscription_state, "3_progress")

    def test_plan_tells_its_recurrence(self):
        self.assertEqual((self.plan.billing_period_value, self.plan.billing_period_unit), (1, "month"))
