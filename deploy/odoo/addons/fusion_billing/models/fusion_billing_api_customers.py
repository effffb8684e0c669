import psycopg2
from markupsafe import Markup

from odoo import api, models
from odoo.exceptions import ConcurrencyError, UserError
from odoo.tools import email_normalize

from .fusion_billing_api import RowError


class AmbiguousCustomer(RowError):
    """Several partners could be meant: a person must decide."""

    def __init__(self, message, service, partners):
        super().__init__(message, "email")
        self.service, self.partners = service, partners


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_upsert_customers(self, rows):
        """Link each external account to one partner: by external id, else by e-mail, else a new one."""
        api_su = self._fc_enter(rows)
        try:
            return [api_su._fc_customer_result(row) for row in rows]
        except psycopg2.errors.UniqueViolation as error:
            # Someone else linked the account meanwhile: run the call again on a fresh snapshot.
            raise ConcurrencyError(str(error)) from error

    @api.model
    def _fc_customer_result(self, row):
        external_id = row.get("external_id") if isinstance(row, dict) else None
        result = {"external_id": external_id, "status": "error", "partner_id": None}
        try:
            if not isinstance(row, dict):
                raise RowError("a row must be an object")
            with self.env.cr.savepoint():
                link = self._fc_upsert_customer(row)
        except RowError as error:
            if isinstance(error, AmbiguousCustomer):
                self._fc_ask_a_person(external_id, error)
            return {**result, "error": str(error), **({"field": error.field} if error.field else {})}
        except UserError as error:
            return {**result, "error": str(error)}
        return {"external_id": link.external_id, "status": "ok", "partner_id": link.partner_id.id}

    @api.model
    def _fc_upsert_customer(self, row):
        service = self._fc_service(row)
        external_id = self._fc_text(row, "external_id")
        name = self._fc_text(row, "name", required=False)
        email_text = self._fc_text(row, "email", required=False)
        email = email_normalize(email_text) if email_text else None
        if email_text and not email:
            raise RowError("email must be one e-mail address", "email")
        links = self.env["fusion.billing.account.link"]
        link = links.search([("service_id", "=", service.id), ("external_id", "=", external_id)])
        if link:
            if email and link.external_email != email:
                link.external_email = email
            return link
        values = {"service_id": service.id, "external_id": external_id, "external_email": email}
        partner = self._fc_partner_by_email(service, email)
        if not partner:
            values["email_claim"] = self._fc_claim_email(email)
            partner = self._fc_create_partner(service, name or external_id, email)
        return links.create({**values, "partner_id": partner.id})

    @api.model
    def _fc_claim_email(self, email):
        """Free the e-mail of a claim whose partner has another one by now, and return it."""
        claims = self.env["fusion.billing.account.link"].search(
            [("email_claim", "=", email)] if email else [(0, "=", 1)]
        )
        claims.email_claim = False
        claims.flush_recordset(["email_claim"])
        return email

    @api.model
    def _fc_partner_by_email(self, service, email):
        """Return the one partner with this e-mail, or an empty record; several are a person's decision."""
        partners = self.env["res.partner"]
        if not email:
            return partners
        found = partners.search(
            [("email_normalized", "=", email), ("company_id", "in", [False, service.company_id.id])], limit=10
        )
        if len(found) > 1:
            raise AmbiguousCustomer(
                f"several partners in Odoo have the e-mail {email}: a person must link the account to one of them",
                service,
                found,
            )
        return found

    @api.model
    def _fc_ask_a_person(self, external_id, error):
        """Give the service's responsible a to-do, once per account, to link it to one of the partners."""
        service, summary = error.service, self.env._("Link the account %s", external_id)
        if summary in service.activity_ids.mapped("summary"):
            return
        choice = Markup("<br/>").join(
            Markup("%s (%s)") % (partner.display_name, partner.id) for partner in error.partners
        )
        service.activity_schedule(
            "mail.mail_activity_data_todo",
            summary=summary,
            note=Markup("%s<br/>%s") % (str(error), choice),
            user_id=service._fc_responsible().id or self.env.uid,
        )

    @api.model
    def _fc_create_partner(self, service, name, email):
        """Create a customer in the company's province: without one, Odoo would charge no sales tax."""
        company = service.company_id
        return self.env["res.partner"].create(
            {
                "name": name,
                "email": email,
                "country_id": company.country_id.id,
                "state_id": company.state_id.id,
                "customer_rank": 1,
                "tz": False,
                "user_id": False,
            }
        )
