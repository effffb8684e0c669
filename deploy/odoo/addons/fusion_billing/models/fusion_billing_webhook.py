from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError

# A replay that was handed out and not reported back is handed out again: whoever took it may be gone.
REPLAY_LEASE = timedelta(minutes=2)
KEPT_DAYS = 90
GC_MAX = 10_000


class FusionBillingWebhook(models.Model):
    """A webhook delivery as finance and administrators see it; the webhook sink keeps the working state."""

    _name = "fusion.billing.webhook"
    _description = "Webhook Delivery"
    _rec_name = "event_id"
    _order = "id desc"

    service_id = fields.Many2one("fusion.billing.service", required=True, index=True, ondelete="restrict")
    company_id = fields.Many2one(related="service_id.company_id", store=True)
    event_id = fields.Char(string="Event ID", required=True, index=True)
    event_type = fields.Char(required=True)
    endpoint = fields.Integer(required=True, aggregator=None, help="The endpoint's number in the catalog.")
    payload = fields.Text()
    state = fields.Selection(
        [("pending", "Pending"), ("delivered", "Delivered"), ("dead", "Dead")], default="pending", required=True
    )
    attempts = fields.Integer()
    next_retry_at = fields.Datetime(string="Next Attempt At")
    last_status = fields.Integer(string="Last Answer", aggregator=None, help="HTTP status. 0: there was no answer.")
    last_error = fields.Char()
    replay_requested_at = fields.Datetime(
        readonly=True, help="Someone asked for it to be delivered again, and the pipeline has not taken that up yet."
    )
    replay_taken_at = fields.Datetime(readonly=True)

    _event_unique = models.Constraint("UNIQUE (event_id, endpoint)", "This delivery is recorded already.")
    _replay_requested = models.Index("(id) WHERE replay_requested_at IS NOT NULL")

    def action_replay(self):
        """Have the deliveries made again, with the same id and the same bytes; the webhook sink takes it up soon."""
        self.check_access("write")
        if not self.filtered("payload"):
            raise UserError(self.env._("There is nothing to deliver again."))
        for delivery in self.filtered(lambda delivery: delivery.payload and not delivery.replay_requested_at):
            delivery.replay_requested_at = fields.Datetime.now()
        return True

    @api.model
    def _fc_take_replays(self, limit):
        """Return the oldest replays that nobody works on, and hand them out."""
        now = fields.Datetime.now()
        waiting = self.search(
            [
                ("replay_requested_at", "!=", False),
                "|",
                ("replay_taken_at", "=", False),
                ("replay_taken_at", "<", now - REPLAY_LEASE),
            ],
            limit=limit,
            order="replay_requested_at, id",
        ).try_lock_for_update()
        waiting.write({"replay_taken_at": now})
        return waiting

    @api.autovacuum
    def _gc_ended(self):
        """Forget deliveries that ended long ago, longer than the pipeline itself keeps them."""
        before = fields.Datetime.now() - timedelta(days=KEPT_DAYS)
        old = self.search([("state", "!=", "pending"), ("write_date", "<", before)], limit=GC_MAX, order="id")
        old.unlink()
        return len(old), len(old) == GC_MAX
