"""The feed from Odoo: its catalog to `catalog.v1`, its outbox of lifecycle events to `events.v1`.

`catalog` and `events` are pure: what Odoo said, as records. `session` is the right to write it, `work` does one round,
`role` repeats rounds until told to stop. Nothing is kept here that Odoo and Kafka do not hold: a feed that is killed
starts again from both.
"""

from producers.odoo_feed.role import run

__all__ = ["run"]
