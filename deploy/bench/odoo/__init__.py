"""`fusion-billing bench odoo`: lines written, changed and confirmed, customers linked, lag of the feed."""
