from collections import Counter

from odoo import api, models
from odoo.tools import SQL

from ..lib.overage import fingerprint, parse_version, read_version, short_fingerprint

KEY_SHOWN_MAX = 512


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def _fc_answer_known(self, raw_rows):
        """Return {index: result} of the rows that say what Odoo holds already.

        Most rows of a running pipeline are of this kind. They cost one read of keys, versions and amounts, and one
        write if their versions are newer; no record is made for them. Whatever is unusual about a row (its key comes
        twice, a person changed its line, the last attempt was refused) leaves it to the careful way.

        A short row only names the words that Odoo is thought to hold; where it does not, the whole row is asked for.
        """
        keys = Counter(raw.get("key") for raw in raw_rows if isinstance(raw, dict) and isinstance(raw.get("key"), str))
        held = self._fc_read_held([key for key, times in keys.items() if times == 1])
        results, newer = {}, []
        for index, raw in enumerate(raw_rows if held else ()):
            usage = held.get(raw.get("key")) if isinstance(raw, dict) and isinstance(raw.get("key"), str) else None
            version = read_version(raw.get("version")) if usage else None
            if version is None or usage["changed_by_hand"]:
                continue
            known = parse_version(usage["version"] or "")
            if version < known:
                results[index] = self._fc_known_result(usage, "stale")
            elif usage["fingerprint"] == (short_fingerprint(raw) or fingerprint(raw)):
                status = "unchanged" if usage["line_id"] or usage["amount"] else "nothing"
                results[index] = self._fc_known_result(usage, status) | {"fingerprint": usage["fingerprint"]}
                if version > known:
                    newer.append((usage["id"], ".".join(map(str, version))))
        self._fc_note_versions(newer)
        for index, raw in enumerate(raw_rows):
            if index not in results and short_fingerprint(raw):
                results[index] = self._fc_unknown_result(raw, "incomplete")
        return results

    @api.model
    def _fc_unknown_result(self, raw, status):
        """Return the result of a row of which nothing can be said but why."""
        key = raw.get("key") if isinstance(raw, dict) else None
        return {
            "key": key[:KEY_SHOWN_MAX] if isinstance(key, str) else "",
            "status": status,
            "order_id": None,
            "line_id": None,
            "revision": 0,
            "amount": "0",
            "invoiced_amount": "0",
        }

    @api.model
    def _fc_read_held(self, keys):
        """Return {key: facts} of accepted usage, read without records."""
        if not keys:
            return {}
        self.env["fusion.billing.usage"].flush_model()
        self.env["sale.order.line"].flush_model()
        rows = self.env.execute_query_dict(
            SQL(
                """
                SELECT usage.id, usage.key, usage.version, usage.fingerprint, usage.amount, currency.decimal_places,
                       MAX(line.x_fc_revision) AS revision,
                       (ARRAY_AGG(line.id ORDER BY COALESCE(line.qty_invoiced, 0) <> 0, line.x_fc_revision DESC))[1]
                           AS line_id,
                       COALESCE((ARRAY_AGG(
                           line.order_id ORDER BY COALESCE(line.qty_invoiced, 0) <> 0, line.x_fc_revision DESC
                       ))[1], usage.subscription_id) AS order_id,
                       SUM(line.x_fc_amount) FILTER (WHERE COALESCE(line.qty_invoiced, 0) <> 0) AS invoiced,
                       COALESCE(BOOL_OR(
                           ABS(
                               line.price_unit * line.product_uom_qty * (1 - COALESCE(line.discount, 0) / 100)
                               - COALESCE(line.x_fc_amount, 0)
                           ) * POWER(10, currency.decimal_places) >= 0.5
                       ), FALSE) AS changed_by_hand
                  FROM fusion_billing_usage usage
                  JOIN res_currency currency ON currency.id = usage.currency_id
             LEFT JOIN sale_order_line line ON line.x_fc_usage_id = usage.id
                 WHERE usage.key = ANY(%s) AND usage.error IS NULL AND usage.fingerprint IS NOT NULL
              GROUP BY usage.id, currency.id
                """,
                keys,
            )
        )
        return {row["key"]: row for row in rows}

    @api.model
    def _fc_known_result(self, usage, status):
        places = usage["decimal_places"]
        return {
            "key": usage["key"],
            "status": status,
            "order_id": usage["order_id"],
            "line_id": usage["line_id"],
            "revision": usage["revision"] or 0,
            "amount": format(usage["amount"] or 0, f".{places}f"),
            "invoiced_amount": format(usage["invoiced"] or 0, f".{places}f"),
        }

    @api.model
    def _fc_note_versions(self, newer):
        """Store newer versions of unchanged rows, so that whatever is older than them is refused from now on."""
        if not newer:
            return
        ids, versions = map(list, zip(*newer, strict=True))
        self.env.cr.execute(
            SQL(
                """
                UPDATE fusion_billing_usage usage SET version = newer.version
                  FROM UNNEST(%s, %s) AS newer (id, version) WHERE usage.id = newer.id
                """,
                ids,
                versions,
            )
        )
        self.env["fusion.billing.usage"].browse(ids).invalidate_recordset(["version"], flush=False)
