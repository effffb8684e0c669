from unittest import SkipTest

from odoo import Command
from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .common import FusionBillingCase


@tagged("post_install", "-at_install")
class TestCompany(FusionBillingCase):
    """A service of another company bills in that company's name, with its journal, taxes and currency."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cls.company.chart_template != "ca_2023":
            raise SkipTest("the company does not use the Canadian chart of accounts")
        cls.west = cls.env["res.company"].create(
            {
                "name": "West",
                "country_id": cls.env.ref("base.ca").id,
                "state_id": cls.env.ref("base.state_ca_ab").id,
            }
        )
        # A whole chart takes seconds; one journal, two accounts and a tax are what an invoice needs.
        account = cls.env["account.account"].with_company(cls.west)
        income, receivable, tax_account = (
            account.create({"name": kind, "code": code, "account_type": kind})
            for kind, code in (("income", "4000"), ("asset_receivable", "1100"), ("liability_current", "2200"))
        )
        cls.journal = cls.env["account.journal"].create(
            {
                "name": "Western invoices",
                "code": "WINV",
                "type": "sale",
                "company_id": cls.west.id,
                "default_account_id": income.id,
            }
        )
        cls.gst = cls.env["account.tax"].create(
            {
                "name": "Western GST",
                "amount": 5,
                "company_id": cls.west.id,
                "country_id": cls.west.country_id.id,
                "tax_group_id": cls.env["account.tax.group"].create({"name": "GST", "company_id": cls.west.id}).id,
                "invoice_repartition_line_ids": [
                    Command.create({"repartition_type": "base"}),
                    Command.create({"repartition_type": "tax", "account_id": tax_account.id}),
                ],
                "refund_repartition_line_ids": [
                    Command.create({"repartition_type": "base"}),
                    Command.create({"repartition_type": "tax", "account_id": tax_account.id}),
                ],
            }
        )
        cls.west.account_sale_tax_id = cls.gst
        cls.env["ir.default"].set(
            "res.partner", "property_account_receivable_id", receivable.id, company_id=cls.west.id
        )
        west = cls.env(context={**cls.env.context, "allowed_company_ids": [cls.west.id, cls.company.id]})
        cls.western = west["fusion.billing.service"].create({"name": "West", "code": "test-west"})
        cls.western_charge = west["fusion.billing.charge"].create(
            {
                "name": "Western calls",
                "service_id": cls.western.id,
                "plan_code": "maps-test",
                "metric_id": cls.metric.id,
                "unit_batch": 1000,
                "price_per_unit": 0.1,
            }
        )
        customer = {"service": "test-west", "external_id": "c1", "name": "Acme West", "email": "ops@west.example"}
        cls.api.fc_upsert_customers(rows=[customer])
        cls.western_order = cls._subscribe("west/1", service="test-west")

    def _bill(self):
        row = self.overage("100.00", subscription="west/1", charge=self.western_charge.code, service="test-west")
        key = row["key"].replace("test-maps/", "test-west/")
        [result] = self.upsert({**row, "key": key})
        self.assertEqual(result["status"], "created", result)
        return self.freeze(self.western_order)

    def test_it_bills_in_its_own_name(self):
        self.assertEqual((self.western.company_id, self.western_charge.company_id), (self.west, self.west))
        self.assertEqual(self.western_order.company_id, self.west)
        invoice = self._bill()
        invoice.action_post()
        self.assertEqual((invoice.company_id, invoice.journal_id), (self.west, self.journal))
        self.assertEqual((invoice.amount_untaxed, invoice.amount_total), (100, 105))
        told = self.api.fc_get_invoice(service="test-west", invoice_id=invoice.id)["invoice"]
        self.assertEqual(told["lines"][-1]["taxes"], [{"name": "Western GST", "percent": "5"}])
        single = self.api.fc_create_invoice(
            service="test-west",
            customer="c1",
            request_id="w1",
            lines=[{"product_id": self.western_charge.product_id.id, "quantity": "1", "unit_price": "10"}],
        )
        self.assertEqual(single["invoice"]["amount_total"], "10.50", single)

    def test_the_companies_do_not_see_each_other_s_usage(self):
        self._bill()
        self.upsert_one("7.00")
        usages = self.env["fusion.billing.usage"]
        for company, amounts in ((self.company, [7]), (self.west, [100])):
            user = new_test_user(
                self.env,
                login=f"finance {company.name}",
                groups="fusion_billing.group_user",
                company_id=company.id,
                company_ids=[Command.set(company.ids)],
            )
            ours = [("service_id.code", "in", ("test-maps", "test-west"))]
            self.assertEqual(usages.with_user(user).search(ours).mapped("amount"), amounts)
            hidden = usages.search(ours).filtered(lambda usage, own=company: usage.company_id != own)
            with self.assertRaises(AccessError):
                hidden.with_user(user).read(["amount"])

    def test_a_charge_of_the_other_company_is_refused(self):
        result = self.upsert_one("5.00", charge=self.western_charge.code)
        self.assertEqual(result["status"], "parked", result)
