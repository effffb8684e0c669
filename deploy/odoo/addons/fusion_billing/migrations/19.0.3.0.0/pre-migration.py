def migrate(cr, version):
    """Name the endpoint of known deliveries: so far each service had the one whose number is its own."""
    cr.execute("ALTER TABLE fusion_billing_webhook ADD COLUMN IF NOT EXISTS endpoint integer")
    cr.execute("UPDATE fusion_billing_webhook SET endpoint = service_id WHERE endpoint IS NULL")
