"""What each victim process needs, loaded once in the process that they are forks of; see `workers.Victim`."""

import importlib

from schemas.wire import decode_batch
from streams.domain.catalog import CatalogView
from streams.store.partition_store import PartitionStore

for _name in ("deploy.cli", "deploy.roles", "streams.role", "tests.faults.mutants", "tests.faults.victim_process"):
    importlib.import_module(_name)

# The first use of a compiled kernel takes a second, of which a fork is spared.
_COUNTER = b"""{"service":"a","counters":[{"subscription":"s","metric":"m","quantity":"1","idempotency_key":"k",
"period_start":"2026-01-01T00:00:00Z","period_end":"2026-01-01T00:00:00Z"}]}"""
PartitionStore(1, CatalogView()).apply(0, decode_batch(_COUNTER)[0])
