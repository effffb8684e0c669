def migrate(cr, version):
    """Note on each overage line what the pipeline wrote, to tell later changes by hand from it."""
    cr.execute(
        """
        UPDATE sale_order_line SET x_fc_amount = ROUND((price_unit * product_uom_qty)::numeric, 2)
         WHERE x_fc_key IS NOT NULL AND x_fc_amount IS NULL
        """
    )
