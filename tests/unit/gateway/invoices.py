"""An invoice as Odoo tells it."""

from schemas.odoo_invoices import Invoice

INVOICE: Invoice = {
    "id": 5,
    "number": "INV/2026/5",
    "type": "invoice",
    "state": "posted",
    "payment_state": "not_paid",
    "service": "maps",
    "subscription": "sub-1",
    "customer": "acme",
    "created_at": "2026-08-01T00:00:00Z",
    "invoice_date": "2026-08-01",
    "due_date": None,
    "currency": "CAD",
    "amount_untaxed": "100.00",
    "amount_tax": "13.00",
    "amount_total": "113.00",
    "amount_due": "113.00",
    "reversed_invoice_id": None,
    "request_id": None,
}
