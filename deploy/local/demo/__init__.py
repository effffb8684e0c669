"""The story of the main job on the real stack: counters in, a line, an invoice, a failed payment, a verified webhook.

`story` tells it, `shop` plays finance in Odoo, `app` plays the app. The only judge is Odoo's own numbers.
"""
