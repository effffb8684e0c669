from odoo import Command
from odoo.tests import TransactionCase, new_test_user

PERIOD = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")


class FusionBillingCase(TransactionCase):
    """One service with a metric, a charge, a customer in Ontario and a running subscription `sub/1`."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company = cls.env.company
        cls.company.partner_id.write(
            {"country_id": cls.env.ref("base.ca").id, "state_id": cls.env.ref("base.state_ca_on").id}
        )
        cls.plan = cls.env["sale.subscription.plan"].create({"name": "Every month"})
        cls.service = cls.env["fusion.billing.service"].create({"name": "Maps", "code": "test-maps"})
        cls.metric = cls.env["fusion.billing.metric"].create({"name": "Calls", "code": "test_calls"})
        cls.charge = cls.env["fusion.billing.charge"].create(
            {
                "name": "Calls over quota",
                "service_id": cls.service.id,
                "plan_code": "maps-test",
                "metric_id": cls.metric.id,
                "included_quota": 5000000,
                "unit_batch": 1000,
                "price_per_unit": 0.1,
            }
        )
        cls.bot = new_test_user(cls.env, login="fusion_bot", groups="fusion_billing.group_pipeline")
        cls.api = cls.env["fusion.billing.api"].with_user(cls.bot)
        cls.api.fc_upsert_customers(
            rows=[{"service": "test-maps", "external_id": "c1", "name": "Acme", "email": "ops@acme.example"}]
        )
        cls.order = cls._subscribe("sub/1")

    @classmethod
    def _subscribe(cls, external_id, **values):
        row = {
            "service": "test-maps",
            "external_customer_id": "c1",
            "plan_id": cls.plan.id,
            "plan_code": "maps-test",
            "external_id": external_id,
            "start_date": "2026-11-01",
            "lines": [],
        }
        [result] = cls.api.fc_create_subscriptions(rows=[{**row, **values}])
        assert result["status"] == "ok", result
        return cls.env["sale.order"].browse(result["subscription_id"])

    @classmethod
    def overage(cls, amount, offset=1, subscription="sub/1", **values):
        """Return a row of `fc_upsert_lines`; units follow from the amount at 0.10 per 1000 over the quota."""
        charge = values.get("charge", cls.charge.code)
        start = values.get("period_start", PERIOD[0])
        units = int(float(amount) * 10000) if isinstance(amount, str) and amount != "NaN" else 0
        return {
            "key": f"test-maps/{subscription}/{charge}/{start}",
            "version": [0, offset, 0],
            "service": "test-maps",
            "subscription": subscription,
            "charge": charge,
            "metric": "test_calls",
            "period_start": start,
            "period_end": PERIOD[1],
            "total": str(5000000 + units),
            "quota": "5000000",
            "billable_units": str(units),
            "batches": str(-(-units // 1000)),
            "batch_size": "1000",
            "price_per_unit": "0.1",
            "charge_model": "standard",
            "amount": amount,
            "currency": cls.order.currency_id.name,
            "counters": 3,
            **values,
        }

    @classmethod
    def upsert(cls, *rows):
        """Call as the pipeline's user and return the results, with nothing left in the cache."""
        results = cls.api.fc_upsert_lines(rows=list(rows))
        cls.env.invalidate_all()
        return results

    @classmethod
    def upsert_one(cls, amount, offset=1, **values):
        [result] = cls.upsert(cls.overage(amount, offset, **values))
        return result

    def lines(self, order=None):
        return (order or self.order).order_line.filtered("x_fc_key").sorted("x_fc_revision")

    def usage(self, **values):
        return self.env["fusion.billing.usage"].search([("key", "=", self.overage("0", **values)["key"])])

    @classmethod
    def freeze(cls, order=None):
        """Put the order's lines on a draft invoice."""
        return (order or cls.order)._create_invoices()

    def events(self, order=None):
        """Return the types of the order's lifecycle events, the oldest first."""
        self.env.cr.flush()
        events = self.env["fusion.billing.event"].search(
            [("subscription_id", "=", (order or self.order).id)], order="id"
        )
        return events.mapped("event_type")

    def recurring_product(self, price):
        return self.env["product.product"].create(
            {
                "name": "Flat fee",
                "type": "service",
                "recurring_invoice": True,
                "list_price": price,
                "taxes_id": [Command.clear()],
            }
        )


class InvoiceCase(FusionBillingCase):
    """A posted invoice of 100.00, and calls about it as an app makes them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.upsert_one("100.00")
        cls.invoice = cls.freeze()
        cls.invoice.action_post()
        cls.env.cr.flush()

    def _call(self, method, service="test-maps", **arguments):
        answer = getattr(self.api, method)(service=service, **arguments)
        self.env.flush_all()
        return answer

    def _on_invoice(self, method, invoice=None, **arguments):
        return self._call(method, invoice_id=(invoice or self.invoice).id, **arguments)
