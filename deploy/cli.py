"""The command `fusion-billing`: parses, calls, prints. Results on stdout, progress and logs on stderr.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 a difference was found.
"""

import sys
from typing import ClassVar

import typer

from deploy import logs, roles
from deploy.commands.lazy import LazyGroup
from schemas.errors import BillingError, ConfigurationError


class _Commands(LazyGroup):
    elsewhere: ClassVar = {
        "publish": "deploy.commands.publish:publish",
        "audit": "deploy.commands.audit:audit",
        "trace": "deploy.commands.trace:trace",
        "waiting": "deploy.commands.stores:waiting",
        "rebuild": "deploy.commands.stores:rebuild",
        "snapshots": "deploy.commands.stores:snapshots",
        "rejected": "deploy.commands.rejected",
        "parked": "deploy.commands.parked",
        "webhooks": "deploy.commands.webhooks",
        "topics": "deploy.commands.topics",
        "bench": "deploy.bench.commands",
        "up": "deploy.local.commands:up",
        "down": "deploy.local.commands:down",
        "status": "deploy.local.commands:status",
        "demo": "deploy.local.commands:demo",
        "schemas": "deploy.commands.schemas",
    }


app = typer.Typer(
    cls=_Commands,
    help="Usage billing: counters on Kafka in, overage lines in Odoo and signed webhooks out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command; what a person can mend is one sentence, not a trace."""
    logs.configure_for_person()
    try:
        app()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except BillingError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


@app.command(rich_help_panel="Roles")
def gateway() -> None:
    """Serve the HTTP API for apps.

    Example: FUSION_GATEWAY_PORT=8080 fusion-billing gateway
    """
    roles.run_gateway()


@app.command(rich_help_panel="Roles")
def meter() -> None:
    """Dedupe, aggregate and rate usage counters.

    Example: FUSION_METER_WORKER_ID=meter-0 FUSION_METER_DATA_DIR=/var/lib/fusion/meter-0 fusion-billing meter
    """
    roles.run_meter()


@app.command("odoo-feed", rich_help_panel="Roles")
def odoo_feed() -> None:
    """Bring Odoo's catalog and lifecycle events to Kafka.

    Example: FUSION_ODOO_URL=https://erp.example FUSION_ODOO_PASSWORD_FILE=/run/secrets/odoo fusion-billing odoo-feed
    """
    roles.run_odoo_feed()


@app.command("odoo-sink", rich_help_panel="Roles")
def odoo_sink() -> None:
    """Write rated overage to Odoo as order lines.

    Example: FUSION_ODOO_ROWS_PER_CALL=400 fusion-billing odoo-sink
    """
    roles.run_odoo_sink()


@app.command("webhook-sink", rich_help_panel="Roles")
def webhook_sink() -> None:
    """Deliver lifecycle events to the apps as signed webhooks.

    Example: FUSION_WEBHOOK_SCHEDULE=long fusion-billing webhook-sink
    """
    roles.run_webhook_sink()
