"""The role `webhook-sink`: lifecycle events as signed HTTP deliveries. Entry: `sinks.webhooks.role.run`."""
