"""A partition worker with scripted neighbours, and everything that happens to it in tests."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from schemas.catalog import CatalogEntry
from schemas.settings import load
from streams.partition.state import Neighbours
from streams.partition.worker import PartitionWorker
from streams.records import LogRecord
from tests.unit.streams.catalogs import CODE, SERVICE, charge, forget, metric, plan, subscription, tell, view
from tests.unit.streams.scripted import ScriptedLog, ScriptedPublisher

if TYPE_CHECKING:
    from streams.domain.catalog import CatalogView
    from streams.kafka_client import FencedPublisher, LogReader, TopicsReader

KNOWN = (plan(), subscription(), metric(), charge())


class Desk:
    """A worker with scripted neighbours; `restart` makes the next one on the same folder, log and publisher."""

    def __init__(self, folder: Path, *entries: CatalogEntry) -> None:
        self.catalog: CatalogView = view(*(entries or KNOWN))
        self.log, self.publisher = ScriptedLog(), ScriptedPublisher()
        self.settings = load({}, meter_data_dir=folder, topic_prefix="t.")
        self.worker = self.make()

    def make(self) -> PartitionWorker:
        """A worker that has not opened yet."""
        reader, publisher = cast("LogReader", self.log), cast("FencedPublisher", self.publisher)
        derived = cast("TopicsReader", self.publisher.topics)
        return PartitionWorker(0, Neighbours(self.settings, self.catalog, reader, derived, 1), publisher)

    async def restart(self, *, with_snapshots: bool = True) -> None:
        """As after kill -9, with the disk or without it."""
        if not with_snapshots:
            shutil.rmtree(self.settings.meter_data_dir, ignore_errors=True)
        self.worker = self.make()
        await self.worker.open()

    async def feed(self) -> None:
        """Bring what a consumer would bring now: the last record has the worker read the others from the log."""
        if self.log.end > self.worker.next_offset:
            last = max(self.log.records)
            await self.worker.apply(LogRecord(0, last, None, self.log.records[last]))

    async def use(self, key: str, quantity: int, gap: int = 0, **fields: Any) -> None:
        """One counter comes in."""
        await self.worker.apply(self.log.append(self.batch(key, quantity, **fields), gap))

    def batch(self, key: str, quantity: int, **fields: Any) -> bytes:
        """One counter of `acme` in July 2026."""
        return self.batch_of({"idempotency_key": key, "quantity": quantity} | fields)

    def batch_of(self, *rows: dict[str, Any]) -> bytes:
        """Counters of `acme`."""
        defaults = {
            "subscription": "acme",
            "metric": CODE,
            "period_start": "2026-07-03T00:00:00Z",
            "period_end": "2026-07-03T00:00:00Z",
        }
        return json.dumps({"service": SERVICE, "counters": [defaults | row for row in rows]}).encode()

    def change(self, entry: CatalogEntry) -> None:
        """The catalog tells the worker of a change."""
        self.worker.catalog_changed(tell(self.catalog, entry))

    def take(self, topic: str) -> list[dict[str, Any]]:
        """What has been published on a topic since the last look at it."""
        name = f"t.{topic}.v1"
        values = [json.loads(each.value) for each in self.publisher.published if each.topic == name]
        self.publisher.published = [each for each in self.publisher.published if each.topic != name]
        return values

    async def totals(self) -> list[str]:
        """The quantities that a flush publishes."""
        await self.worker.flush()
        return [each["quantity"] for each in self.take("totals")]

    async def amounts(self) -> list[str]:
        """The amounts that a flush publishes."""
        await self.worker.flush()
        return [each["amount"] for each in self.take("overage")]

    def delete(self, entry: CatalogEntry) -> None:
        """The catalog tells the worker that an entry is gone."""
        self.worker.catalog_changed(forget(self.catalog, entry))

    def latest(self, topic: str) -> dict[str, dict[str, Any]]:
        """What a cold reader of a compacted topic holds; the last word of each key must be its greatest version."""
        found: dict[str, dict[str, Any]] = {}
        for record in self.publisher.topics.records.get(f"t.{topic}.v1", ()):
            key, value = (record.key or b"").decode(), json.loads(record.value)
            assert key not in found or value["version"] >= found[key]["version"], f"{key}: an older version is the last"
            found[key] = value
        return found

    def refused(self) -> list[tuple[int, int | None]]:
        """(source offset, place in the batch) of everything on the rejected topic, as often as it is there."""
        records = [json.loads(each.value) for each in self.publisher.topics.records.get("t.rejected.v1", ())]
        return sorted((each["offset"], refusal["index"]) for each in records for refusal in each["refusals"])

    async def quiet(self) -> None:
        """Everything that is in the log has been applied and published."""
        await self.feed()
        await self.worker.catch_up()

    async def rebuilt(self, folder: Path) -> "Desk":
        """Another worker that starts from nothing: the same log, the catalog of now, empty derived topics."""
        fresh = Desk(folder)
        fresh.catalog, fresh.log = self.catalog, self.log
        fresh.worker = fresh.make()
        await fresh.worker.open()
        await fresh.quiet()
        return fresh

    def standing(self) -> dict[str, tuple[str, ...]]:
        """Totals with counters and overages with an amount, by key: what anybody could be billed for."""
        totals = {key: (each["quantity"], str(each["counters"])) for key, each in self.latest("totals").items()}
        overages = {key: (each["total"], each["amount"]) for key, each in self.latest("overage").items()}
        return {key: value for key, value in totals.items() if value[1] != "0"} | {
            key: value for key, value in overages.items() if value[1] != "0"
        }
