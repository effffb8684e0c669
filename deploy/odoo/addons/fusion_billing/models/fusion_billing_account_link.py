from odoo import api, fields, models


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

    @api.model_create_multi
    def create(self, vals_list):
        links = super().create(vals_list)
        for link in links:
            # As superuser: the to-do may be another person's.
            todos = link.service_id.sudo().activity_ids
            asked = self.env._("Link the account %s", link.external_id)
            todos.filtered(lambda todo, asked=asked: todo.summary == asked).action_done()
        return links
