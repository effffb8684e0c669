import re

from odoo import Command, api, fields, models
from odoo.exceptions import ValidationError

from ..lib.numbers import from_float, plain
from .fusion_billing_code_mixin import CODE

QUANTITY_DIGITS = (20, 6)
PRICE_DIGITS = (20, 10)
TIERED = ("volume", "graduated")
TERMS = frozenset(
    "service_id plan_code plan_id metric_id currency_id charge_model included_quota unit_batch price_per_unit "
    "tier_ids valid_from".split()
)


class FusionBillingCharge(models.Model):
    """A price on a metric, for the orders of one plan code (or, without one, of one recurring plan)."""

    _name = "fusion.billing.charge"
    _inherit = ["fusion.billing.code.mixin"]
    _description = "Billing Charge"
    _order = "plan_code, name, id"

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", required=True, default=lambda self: self.env.company)
    service_id = fields.Many2one(
        "fusion.billing.service", index=True, ondelete="restrict", help="Empty: for the orders of all services."
    )
    plan_code = fields.Char(index=True, help="What the customer bought, as the apps call it.")
    plan_id = fields.Many2one("sale.subscription.plan", string="Recurring Plan", index=True, ondelete="restrict")
    metric_id = fields.Many2one("fusion.billing.metric", required=True, index=True, ondelete="restrict")
    product_id = fields.Many2one(
        "product.product",
        string="Overage Product",
        required=True,
        index=True,
        ondelete="restrict",
        help="Product of the order lines. Left empty, a service with the company's default tax is created.",
    )
    currency_id = fields.Many2one(
        "res.currency", required=True, default=lambda self: self.env.company.currency_id, ondelete="restrict"
    )
    charge_model = fields.Selection(
        [("standard", "Standard"), ("package", "Package"), ("volume", "Volume"), ("graduated", "Graduated")],
        default="standard",
        required=True,
        help="Standard: started batches of the units over the quota. Package: started batches of all units. "
        "Volume: all units over the quota at the price of the tier they reach. "
        "Graduated: each tier's units at its own price.",
    )
    included_quota = fields.Float(digits=QUANTITY_DIGITS, help="Units per period that cost nothing.")
    unit_batch = fields.Float(digits=QUANTITY_DIGITS, default=1.0, help="Units that are sold together.")
    price_per_unit = fields.Float(string="Price per Batch", digits=PRICE_DIGITS)
    valid_from = fields.Date(
        help="The charge prices periods that start on this day or later, in the subscription's time zone. Empty: all."
    )
    valid_to = fields.Date(help="The charge prices periods that start before this day. Empty: without end.")
    version = fields.Integer(default=1, readonly=True, copy=False)
    predecessor_id = fields.Many2one(
        "fusion.billing.charge", string="Former Version", readonly=True, copy=False, index="btree_not_null"
    )
    is_invoiced = fields.Boolean(compute="_compute_is_invoiced", help="Its terms are fixed: make a new version.")
    tier_ids = fields.One2many("fusion.billing.charge.tier", "charge_id", copy=True)
    threshold_ids = fields.One2many("fusion.billing.threshold", "charge_id", copy=True)

    _code_unique = models.Constraint("UNIQUE (code)", "Another charge has this code.")
    _unit_batch_positive = models.Constraint("CHECK (unit_batch > 0)", "The unit batch must be above zero.")
    _quota_not_negative = models.Constraint("CHECK (included_quota >= 0)", "The included quota cannot be negative.")
    _price_not_negative = models.Constraint("CHECK (price_per_unit >= 0)", "The price cannot be negative.")

    _validity_in_order = models.Constraint(
        "CHECK (valid_from IS NULL OR valid_to IS NULL OR valid_from <= valid_to)", "A validity ends after it began."
    )
    _predecessor_unique = models.UniqueIndex(
        "(predecessor_id) WHERE predecessor_id IS NOT NULL", "This charge has a newer version already."
    )

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            if not vals.get("name"):
                vals["name"] = self.env["fusion.billing.metric"].browse(vals.get("metric_id")).name
            if not vals.get("product_id"):
                vals["product_id"] = self._fc_create_product(vals).id
        # Tiers that come with their charge are checked once, together, by the charge's own constraint.
        charges = super(FusionBillingCharge, self.with_context(fc_tiers_with_charge=True)).create(vals_list)
        charges = charges.with_env(self.env)
        for charge in charges.filtered(lambda charge: not charge.code):
            charge.code = charge._fc_derive_code()
        return charges

    def write(self, vals):
        if TERMS & vals.keys():
            self._fc_check_free_terms(vals)
        return super(FusionBillingCharge, self.with_context(fc_tiers_with_charge=True)).write(vals)

    @api.model
    def _fc_create_product(self, vals):
        """Create the service product of a charge; its price is always the line's, its tax the company's default."""
        company = self.env["res.company"].browse(vals.get("company_id")) or self.env.company
        # As superuser: a billing manager need not be allowed to create products.
        return (
            self.env["product.product"]
            .sudo()
            .with_company(company)
            .create(
                {
                    "name": self.env._("Usage: %s", vals.get("name")),
                    "type": "service",
                    "invoice_policy": "order",
                    "recurring_invoice": False,
                    "list_price": 0.0,
                    "purchase_ok": False,
                    "taxes_id": [Command.set(company.account_sale_tax_id.ids)],
                }
            )
        )

    def _fc_derive_code(self):
        """Return a free code made of plan code and metric, or of the id where there is no plan code."""
        self.ensure_one()
        slug = re.sub(r"[^a-z0-9_.-]+", "-", (self.plan_code or "").lower()).strip("-_.")
        base = f"{slug}.{self.metric_id.code}"[:58]
        if not slug or not CODE.fullmatch(base):
            base = f"charge-{self.id}"
        # As superuser: codes are unique over all companies, the user's and others.
        taken = self.sudo().with_context(active_test=False)
        code, number = base, 1
        while taken.search_count([("code", "=", code)], limit=1):
            number += 1
            code = f"{base}-{number}"
        return code

    @api.constrains("product_id")
    def _check_product(self):
        for charge in self:
            if charge.product_id.recurring_invoice or charge.product_id.invoice_policy != "order":
                raise ValidationError(
                    self.env._(
                        "The overage product %s must not be a subscription product and must be invoiced on ordered "
                        "quantities; its line would be billed again in each period or never.",
                        charge.product_id.display_name,
                    )
                )

    @api.constrains("charge_model", "unit_batch", "tier_ids")
    def _check_tiers(self):
        for charge in self.filtered(lambda charge: charge.charge_model in TIERED):
            bounds = [tier._fc_up_to() for tier in charge.tier_ids._fc_sorted()]
            if not bounds or bounds[-1] is not None or None in bounds[:-1]:
                raise ValidationError(self.env._("Tiers need exactly one without an upper bound, the last."))
            batch = from_float(charge.unit_batch, QUANTITY_DIGITS[1])
            if len(set(bounds)) != len(bounds) or any(bound % batch for bound in bounds[:-1]):
                raise ValidationError(
                    self.env._("The tiers' upper bounds must rise and be multiples of the unit batch.")
                )

    def _fc_tiers_changed(self):
        """Tiers are part of their charge's catalog record: date the charge and check it as a whole."""
        self._fc_check_free_terms({"tier_ids": [True]})
        if not self.env.context.get("fc_tiers_with_charge"):
            self.write({})
            self._check_tiers()

    def _fc_thresholds_changed(self):
        """Thresholds are part of their charge's catalog record: date the charge."""
        if not self.env.context.get("fc_tiers_with_charge"):
            self.write({})

    def _fc_catalog_value(self):
        """Return the charge's catalog record; prices and quantities as exact decimal strings."""
        self.ensure_one()
        tiers = self.tier_ids._fc_sorted() if self.charge_model in TIERED else ()
        return {
            "code": self.code,
            "name": self.name,
            "service": self.service_id.code or None,
            "metric": self.metric_id.code,
            "plan_code": self.plan_code or None,
            "plan": self.plan_id.id or None,
            "product": self.product_id.id,
            "included_quota": plain(from_float(self.included_quota, QUANTITY_DIGITS[1])),
            "price_per_unit": plain(from_float(self.price_per_unit, PRICE_DIGITS[1])),
            "unit_batch": plain(from_float(self.unit_batch, QUANTITY_DIGITS[1])),
            "charge_model": self.charge_model,
            "currency": self.currency_id.name,
            "tiers": [
                {
                    "up_to": None if tier._fc_up_to() is None else plain(tier._fc_up_to()),
                    "price_per_unit": plain(from_float(tier.price_per_unit, PRICE_DIGITS[1])),
                    "flat_fee": plain(from_float(tier.flat_fee, PRICE_DIGITS[1])),
                }
                for tier in tiers
            ],
            "thresholds": [threshold._fc_catalog_value() for threshold in self.threshold_ids.sorted("code")],
            "valid_from": self.valid_from and self.valid_from.isoformat() or None,
            "valid_to": self.valid_to and self.valid_to.isoformat() or None,
            "active": self.active,
        }
