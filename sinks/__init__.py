"""Everything that takes facts from Kafka out: lines into Odoo, webhooks to the apps."""
