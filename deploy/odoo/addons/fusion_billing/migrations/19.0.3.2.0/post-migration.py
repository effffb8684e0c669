def migrate(cr, version):
    """Fix the zone of subscriptions that have begun: so far it was whatever their customer had."""
    cr.execute(
        """
        UPDATE sale_order o
           SET x_fc_time_zone = COALESCE(NULLIF(customer.tz, ''), NULLIF(own.tz, ''), 'UTC')
          FROM res_partner customer, res_company company, res_partner own
         WHERE customer.id = o.partner_id AND company.id = o.company_id AND own.id = company.partner_id
           AND o.x_fc_service_id IS NOT NULL AND o.state = 'sale' AND o.x_fc_time_zone IS NULL
        """
    )
