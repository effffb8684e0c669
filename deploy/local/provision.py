"""What a fresh Odoo database needs before the roles can work with it; running it again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local.odoo_rpc import OdooSession

if TYPE_CHECKING:
    from collections.abc import Mapping

BOT_LOGIN = "fusion-bot"
DEMO_SERVICE = "nexamaps"
_BOT_GROUPS = ("base.group_user", "fusion_billing.group_pipeline")


@dataclass(frozen=True, slots=True)
class Credentials:
    """How an app of the demo's service identifies itself; the key is null where it was handed out before."""

    service: str
    api_key: str | None


def ensure_bot(admin: OdooSession, password: str) -> OdooSession:
    """The pipeline's user, with no rights but its groups'; returns its session."""
    bot = OdooSession(admin.port, admin.database, BOT_LOGIN, password)
    known = admin.call("res.users", "search", [["login", "=", BOT_LOGIN]])
    if not known:
        groups = [admin.id_of(group) for group in _BOT_GROUPS]
        bot_user = {
            "name": "Billing pipeline",
            "login": BOT_LOGIN,
            "password": password,
            "group_ids": [[6, 0, groups]],
        }
        admin.call("res.users", "create", bot_user)
    elif not bot.may_log_in():
        admin.call("res.users", "write", known, {"password": password})
    return bot


def ensure_demo_service(admin: OdooSession, saved: Mapping[str, str]) -> Credentials:
    """The demo's service with a bearer key.

    Odoo shows a key once, so a new one is made only when the service is new or no key was saved in `saved`.
    """
    found = admin.call("fusion.billing.service", "search", [["code", "=", DEMO_SERVICE]])
    api_key = saved.get("FUSION_API_KEY")
    if found and api_key and saved.get("FUSION_SERVICE") == DEMO_SERVICE:
        return Credentials(DEMO_SERVICE, None)
    service = (
        found[0]
        if found
        else admin.call("fusion.billing.service", "create", {"name": "NexaMaps", "code": DEMO_SERVICE})
    )
    return Credentials(DEMO_SERVICE, admin.call("fusion.billing.service", "action_generate_api_key", [service]))
