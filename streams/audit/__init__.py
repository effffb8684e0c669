"""Whether what is published and what Odoo holds is what the log says: replay, compare, report."""
