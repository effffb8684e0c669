"""What the parts of a partition worker share: its neighbours, and the state that they change on one event loop."""

import asyncio
from dataclasses import dataclass, field

from schemas.settings import Settings
from streams.domain.catalog import CatalogView
from streams.kafka_client import LogReader, TopicsReader
from streams.partition.outbox import Outbox
from streams.records import Positions
from streams.store.partition_store import PartitionStore
from streams.store.snapshots import Late


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What all partition workers of a meter share; whoever saves a snapshot holds `saving`."""

    settings: Settings
    catalog: CatalogView
    log_reader: LogReader
    derived: TopicsReader
    partitions: int
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class PartitionState:
    """One partition as it stands.

    waiting: aggregates that cannot be rated until the catalog knows more. catalog_offset: the catalog position that
    the marks are up to date with. is_outdated: the store must be made anew from the log before more is applied.
    positions: from where on derived topics may hold what the store does not know to be published; refusals of
    records up to past_offset lie before that. late: refusals that are out only if they were found when their record
    was taken in first, by source offset (`late_refusals`).

    Whoever changes the store holds `applying`, whoever publishes or exchanges it `publishing`; in this order.
    """

    partition: int
    store: PartitionStore = field(init=False)
    outbox: Outbox = field(default_factory=Outbox)
    waiting: set[int] = field(default_factory=set)
    catalog_offset: int = 0
    is_outdated: bool = False
    positions: Positions = field(default_factory=dict)
    past_offset: int = -1
    late: dict[int, Late] = field(default_factory=dict)
    applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    publishing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def next_offset(self) -> int:
        """The first record that is not in the store yet."""
        return self.store.applied_offset + 1
