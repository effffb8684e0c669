from odoo import api, fields, models
from odoo.exceptions import UserError

OUTBOX_LIMIT_MAX = 1000


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_outbox_read(self, limit=200):
        """Return the oldest events that are not acknowledged yet, at most `limit`.

        Not “all after an id”: ids are given before commit, so a slower transaction may appear behind a faster one.
        """
        api_su = self._fc_enter()
        events = api_su.env["fusion.billing.event"].search(
            [("published", "=", False)], limit=max(1, min(int(limit), OUTBOX_LIMIT_MAX)), order="id"
        )
        return [event._fc_to_dict() for event in events]

    @api.model
    def fc_outbox_ack(self, ids):
        """Mark events as published; ids that are gone or marked already are passed over."""
        api_su = self._fc_enter()
        if not isinstance(ids, list) or not all(isinstance(event_id, int) for event_id in ids):
            raise UserError(self.env._("Ids must be a list of whole numbers."))
        events = api_su.env["fusion.billing.event"].search([("id", "in", ids), ("published", "=", False)])
        events.write({"published": True, "published_at": fields.Datetime.now()})
        return True
