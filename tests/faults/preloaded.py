"""What each victim process needs, loaded once in the process that they are forks of; see `victims.Victim`."""

import importlib

from streams.warm_up import warm_up

for _name in ("deploy.cli", "deploy.roles", "streams.role", "tests.faults.mutants", "tests.faults.victim_process"):
    importlib.import_module(_name)
warm_up()
