from odoo import fields, models


class FusionBillingAccountLink(models.Model):
    """An app's customer and the one partner it is in Odoo."""

    _name = "fusion.billing.account.link"
    _description = "Billing Account Link"
    _rec_name = "external_id"
    _order = "id desc"

    service_id = fields.Many2one("fusion.billing.service", required=True, index=True, ondelete="restrict")
    external_id = fields.Char(string="External ID", required=True, help="The app's own id of the customer.")
    external_email = fields.Char(string="External E-mail")
    partner_id = fields.Many2one("res.partner", required=True, index=True, ondelete="restrict")
    company_id = fields.Many2one(related="service_id.company_id", store=True)
    # Two services that meet the same new customer at once must make one partner: the later one fails on this index
    # and is run again, when it finds the partner by its e-mail.
    email_claim = fields.Char(copy=False, help="E-mail for which this link created its partner.")

    _external_id_unique = models.Constraint(
        "UNIQUE (service_id, external_id)", "This account of the service is linked already."
    )
    _email_claim_unique = models.UniqueIndex(
        "(email_claim) WHERE email_claim IS NOT NULL", "A partner for this e-mail is being created."
    )
