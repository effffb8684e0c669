from odoo import api, models
from odoo.tools import SQL

from ..lib.times import parse_instant


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_find_key(self, key_hash):
        """Return ``{service}``: the code of the active service that has this live key, or None."""
        api_su = self._fc_enter()
        digest = str(key_hash)
        service = api_su.env["fusion.billing.service"].search(
            ["|", ("api_key_hash", "=", digest), ("key_ids.key_hash", "=", digest)], limit=1
        )
        return {"service": service.code if service and digest in service._fc_key_hashes() else None}

    @api.model
    def fc_note_key_uses(self, rows):
        """Note when keys were last used, so that a person sees when a former one can go.

        Args:
            rows: ``{key_hash, used_at}``; unknown keys and earlier times are passed over.
        """
        api_su = self._fc_enter(rows)
        for row in rows:
            # Not through the record: a use must not date the service, or the catalog would be published again.
            api_su.env.cr.execute(
                SQL(
                    """
                    UPDATE fusion_billing_service_key SET last_used_at = %(used)s
                     WHERE key_hash = %(hash)s AND (last_used_at IS NULL OR last_used_at < %(used)s)
                    """,
                    used=parse_instant(row.get("used_at"), "used_at"),
                    hash=str(row.get("key_hash")),
                )
            )
        api_su.env["fusion.billing.service.key"].invalidate_model(["last_used_at"])
        return True
