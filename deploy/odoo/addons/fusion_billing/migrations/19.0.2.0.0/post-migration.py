def migrate(cr, version):
    """Note on each overage line what the pipeline wrote, to tell later changes by hand from it."""
    cr.execute(
        """
        UPDATE sale_order_line SET x_fc_amount = ROUND((price_unit * product_uom_qty)::numeric, 2)
         WHERE x_fc_key IS NOT NULL AND x_fc_amount IS NULL
        """
    )
    # A key from before rotation lives on for the overlap, too, once it is replaced.
    cr.execute(
        """
        INSERT INTO fusion_billing_service_key (service_id, company_id, key_hash, hint, create_date, write_date)
             SELECT id, company_id, api_key_hash, 'before 19.0.2', NOW(), NOW() FROM fusion_billing_service
              WHERE api_key_hash IS NOT NULL
        ON CONFLICT DO NOTHING
        """
    )
