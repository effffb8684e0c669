from odoo import Command, api, models

from .fusion_billing_api import RowError


class FusionBillingApi(models.AbstractModel):
    # One file per concern of the same interface.
    _inherit = "fusion.billing.api"  # pylint: disable=consider-merging-classes-inherited

    @api.model
    def fc_get_endpoint(self, service):
        """Return where a service's webhooks go: ``{status: "ok", endpoint: {id, url, event_types} or None}``."""
        api_su = self._fc_enter()
        return api_su._fc_answer(lambda: api_su._fc_shown(api_su._fc_service({"service": service})))

    @api.model
    def fc_set_endpoint(self, service, url, event_types=()):
        """Send a service's webhooks there from now on, told of these events; empty: of everything.

        Returns:
            as `fc_get_endpoint`, with the new ``secret`` where the service had no endpoint; it cannot be read later.
        """
        api_su = self._fc_enter(event_types)
        return api_su._fc_answer(
            lambda: api_su._fc_set_endpoint(api_su._fc_service({"service": service}), url, event_types)
        )

    @api.model
    def fc_renew_endpoint_secret(self, service):
        """Make a new secret and return it as ``secret``; the former one signs, too, for the service's overlap."""
        api_su = self._fc_enter()
        return api_su._fc_answer(lambda: api_su._fc_renew_secret(api_su._fc_service({"service": service})))

    @api.model
    def fc_delete_endpoint(self, service):
        """Send a service no more webhooks; again changes nothing."""
        api_su = self._fc_enter()
        return api_su._fc_answer(lambda: api_su._fc_delete_endpoint(api_su._fc_service({"service": service})))

    @api.model
    def _fc_shown(self, service):
        endpoint = {
            "id": service.id,
            "url": service.webhook_url,
            "event_types": sorted(service.event_type_ids.mapped("code")),
        }
        return {"endpoint": endpoint if service.webhook_url else None}

    @api.model
    def _fc_set_endpoint(self, service, url, event_types):
        url = self._fc_text({"url": url}, "url")
        known = self.env["fusion.billing.event.type"].search([("code", "in", list(event_types))])
        unknown = sorted(set(map(str, event_types)) - set(known.mapped("code")))
        if unknown:
            raise RowError(f"there is no event type {unknown[0]}", "event_types")
        is_new = not service.webhook_url
        service.write({"webhook_url": url, "event_type_ids": [Command.set(known.ids)]})
        secret = service.action_rotate_webhook_secret() if is_new else None
        return {**self._fc_shown(service), "secret": secret}

    @api.model
    def _fc_renew_secret(self, service):
        if not service.webhook_url:
            raise RowError(f"{service.code} has no webhook endpoint", "service")
        return {**self._fc_shown(service), "secret": service.action_rotate_webhook_secret()}

    @api.model
    def _fc_delete_endpoint(self, service):
        if service.webhook_url:
            service.write({"webhook_url": False})
        return self._fc_shown(service)
