from odoo import api, fields, models

_MARKS = "fusion_billing.outbox"


class FusionBillingOutboxMixin(models.AbstractModel):
    """Native records whose state changes become lifecycle events, in the transaction of the change.

    Changes only mark the record; what to announce is decided just before commit, from the state reached by then and
    the one announced last. So each state is announced once, whatever hooks led to it.
    """

    _name = "fusion.billing.outbox.mixin"
    _description = "Fusion Billing: record with lifecycle events"

    x_fc_announced = fields.Char(string="Announced State", copy=False, readonly=True)

    def _fc_watched_fields(self):
        """Return the names of the fields whose changes may have to be announced."""
        return frozenset()

    def _fc_announce(self):
        """Insert the events due for the present state and note it in `x_fc_announced`."""

    def _compute_field_value(self, field):
        if field.store and field.name in self._fc_watched_fields():
            self._fc_mark()
        return super()._compute_field_value(field)

    @api.model_create_multi
    def create(self, vals_list):
        records = super().create(vals_list)
        records._fc_mark()
        return records

    def write(self, vals):
        if self._fc_watched_fields() & vals.keys():
            self._fc_mark()
        return super().write(vals)

    def _fc_mark(self):
        ids = self._origin.ids
        if not ids:
            return
        precommit = self.env.cr.precommit
        marks = precommit.data.setdefault(_MARKS, {})
        if not marks:
            # As superuser, like the flush itself: it also outlives the user's environment.
            precommit.add(self.env["fusion.billing.event"].sudo()._fc_flush)
        marks.setdefault(self._name, set()).update(ids)
