"""`python -m deploy.local up|down|status`: the same commands as `fusion-billing`, without the rest of the product."""

from __future__ import annotations

from deploy.local.commands import app

if __name__ == "__main__":
    app()
