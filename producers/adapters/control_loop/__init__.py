"""An app's side of the control loop: receive webhooks, verify, dedupe, then suspend, restore or deprovision.

    FUSION_WEBHOOK_SECRET=whsec_… python -m producers.adapters.control_loop --port 8099 --memory handled.jsonl

An example to read and to run, and the receiver of the demo. An app puts its own `Hook` in the place of `LoggingHook`.
"""

from producers.adapters.control_loop.loop import ControlLoop, Hook, Status
from producers.adapters.control_loop.server import Receiver, serve

__all__ = ["ControlLoop", "Hook", "Receiver", "Status", "serve"]
