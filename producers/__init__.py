"""Everything that puts facts on Kafka: the gateway, the SDK, the feed from Odoo, importers."""
