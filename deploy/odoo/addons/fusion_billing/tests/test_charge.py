from datetime import date

import psycopg2

from odoo import Command
from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestCharge(FusionBillingCase):
    def _charge(self, **values):
        return self.env["fusion.billing.charge"].create({"name": "Test", "metric_id": self.metric.id, **values})

    def _tiers(self, *bounds):
        return [Command.create({"up_to": bound, "price_per_unit": 1}) for bound in bounds]

    def test_product_is_made_where_none_is_given(self):
        product = self.charge.product_id
        self.assertEqual((product.name, product.type, product.list_price), ("Usage: Calls over quota", "service", 0))
        self.assertFalse(product.recurring_invoice)
        self.assertEqual(product.taxes_id, self.company.account_sale_tax_id)

    def test_form_needs_neither_name_nor_product(self):
        form = Form(self.env["fusion.billing.charge"])
        form.metric_id = self.metric
        charge = form.save()
        self.assertEqual((charge.name, charge.product_id.name), ("Calls", "Usage: Calls"))

    def test_tiers_are_entered_in_the_form(self):
        form = Form(self.charge)
        form.charge_model = "graduated"
        for bound in (1000, 0):
            with form.tier_ids.new() as tier:
                tier.up_to = bound
        self.assertEqual(form.save().tier_ids.mapped("up_to"), [1000, 0])

    def test_code_is_derived_and_unique(self):
        self.assertEqual(self._charge(plan_code="Maps Test").code, "maps-test.test_calls-2")
        charge = self._charge()
        self.assertEqual(charge.code, f"charge-{charge.id}")
        self.assertEqual(self._charge(code="own.code").code, "own.code")

    def test_code_never_changes(self):
        for record in (self.charge, self.metric, self.service):
            with self.assertRaises(UserError):
                record.code = "other"

    def test_bad_codes_are_refused(self):
        for code in ("Upper", "with space", "-dash", "x" * 65, "slash/"):
            with self.subTest(code), self.assertRaises(ValidationError):
                self._charge(code=code)

    def test_metric_code_is_unique_among_shared_and_per_service(self):
        metrics = self.env["fusion.billing.metric"]
        metrics.create({"name": "Of the service", "code": "test_calls", "service_id": self.service.id})
        with self.assertRaises(psycopg2.IntegrityError), mute_logger("odoo.sql_db"), self.cr.savepoint():
            metrics.create({"name": "Twice", "code": "test_calls"})

    def test_database_refuses_absurd_terms(self):
        for values in ({"unit_batch": 0}, {"included_quota": -1}, {"price_per_unit": -1}):
            with (
                self.subTest(values),
                self.assertRaises(psycopg2.IntegrityError),
                mute_logger("odoo.sql_db"),
                self.cr.savepoint(),
            ):
                self._charge(**values)

    def test_small_prices_are_exact(self):
        charge = self._charge(price_per_unit=0.0075, unit_batch=0.1)
        self.env.invalidate_all()
        value = charge._fc_catalog_value()
        self.assertEqual((value["price_per_unit"], value["unit_batch"]), ("0.0075", "0.1"))

    def test_recurring_product_is_refused(self):
        with self.assertRaises(ValidationError):
            self._charge(product_id=self.recurring_product(1).id)

    def test_tiers_need_rising_whole_batches_and_an_open_end(self):
        for model in ("volume", "graduated"):
            good = self._charge(charge_model=model, unit_batch=10, tier_ids=self._tiers(200, False, 100))
            bounds = [tier["up_to"] for tier in good._fc_catalog_value()["tiers"]]
            self.assertEqual(bounds, ["100", "200", None])
            for bounds in ((), (100,), (False, False), (100, 100, False), (105, False)):
                with self.subTest(bounds), self.assertRaises(ValidationError):
                    self._charge(charge_model=model, unit_batch=10, tier_ids=self._tiers(*bounds))

    def test_tiers_can_be_changed_together(self):
        charge = self._charge(charge_model="volume", tier_ids=self._tiers(100, 200, False))
        first, second, _last = charge.tier_ids
        charge.tier_ids = [Command.update(first.id, {"up_to": 200}), Command.update(second.id, {"up_to": 300})]
        self.assertEqual(charge.tier_ids.mapped("up_to"), [200, 300, 0])
        with self.assertRaises(ValidationError):
            first.up_to = 300

    def _invoiced(self):
        self.upsert_one("100.00")
        self.freeze()
        self.env.invalidate_all()
        return self.charge

    def test_terms_that_were_invoiced_cannot_change(self):
        charge = self._invoiced()
        self.assertTrue(charge.is_invoiced)
        for change in ({"price_per_unit": 0.2}, {"included_quota": 1}, {"charge_model": "package"}):
            with self.subTest(change), self.assertRaises(UserError):
                charge.write(change)
        with self.assertRaises(UserError):
            charge.tier_ids = [Command.create({"up_to": 1000, "price_per_unit": 1})]
        for change in ({"aggregation": "max"}, {"split_pro_rata": True}):
            with self.subTest(change), self.assertRaises(UserError):
                self.metric.write(change)
        charge.write({"name": "Other words", "price_per_unit": 0.1, "charge_model": "standard"})
        self.metric.write({"name": "Other words", "aggregation": "sum"})

    def test_new_version_begins_where_the_former_ends(self):
        charge = self._invoiced()
        wizard = self.env["fusion.billing.charge.version"].create({"charge_id": charge.id, "valid_from": "2027-01-01"})
        new = self.env["fusion.billing.charge"].browse(wizard.action_make()["res_id"])
        self.assertEqual((new.code, new.version, new.predecessor_id), ("maps-test.test_calls-v2", 2, charge))
        self.assertEqual((str(charge.valid_to), str(new.valid_from), new.valid_to), ("2027-01-01",) * 2 + (False,))
        new.price_per_unit = 0.2
        self.assertEqual((charge.price_per_unit, new._fc_catalog_value()["valid_from"]), (0.1, "2027-01-01"))
        self.assertEqual(self.upsert_one("130.00", 2)["status"], "created", "a late counter, under the former terms")
        result = self.upsert_one("9.00", charge=new.code)
        self.assertIn("not valid for a period that starts on 2026-11-01", result["error"])
        january = {"period_start": "2027-01-01T00:00:00Z", "period_end": "2027-02-01T00:00:00Z"}
        self.assertEqual(self.upsert_one("9.00", **january)["status"], "parked", "the former price is over")
        self.assertEqual(self.upsert_one("9.00", charge=new.code, **january)["status"], "created")
        third = new._fc_new_version(date(2028, 1, 1))
        self.assertEqual((third.code, third.version), ("maps-test.test_calls-v3", 3))
        with self.assertRaises(UserError):
            third._fc_new_version(date(2027, 6, 1))

    def test_validity_ends_after_it_began(self):
        with self.assertRaises(psycopg2.IntegrityError), mute_logger("odoo.sql_db"), self.cr.savepoint():
            self.charge.write({"valid_from": "2027-02-01", "valid_to": "2027-01-01"})
            self.env.flush_all()
