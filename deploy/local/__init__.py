"""A real Kafka, PostgreSQL and Odoo, and every role, on one machine and under one folder.

Read `README.md` beside this file first; `stack.py` has the order in which things start.
"""
