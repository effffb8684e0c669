"""The HTTP door to the pipeline: customers, subscriptions, plans and, above all, usage counters.

`Gateway` is the role; `create_app` the same without a server, for tests and for other hosts.
"""

from producers.gateway.app import create_app
from producers.gateway.role import Gateway, run

__all__ = ["Gateway", "create_app", "run"]
