"""The role `odoo-sink`: rated overage from Kafka becomes order lines in Odoo. Entry: `sinks.odoo.role.run`."""
