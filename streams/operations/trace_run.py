"""Tracing over the real topics: reads the one partition that can hold what is asked for, else all of them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from schemas.derived import Line, Overage, Total
from schemas.errors import ConfigurationError
from schemas.identifiers import overage_key, usage_key
from schemas.money import format_decimal
from schemas.odoo_rpc import OdooBilling
from schemas.partitioning import partition_of
from schemas.topics import LINES, OVERAGE, TOTALS, Topic
from streams.audit.reading import Books
from streams.audit.topics import Published
from streams.operations.trace import History, Wanted, aggregate
from streams.operations.trace_documents import value_document

_Record = TypeVar("_Record", Total, Overage, Line)


@dataclass(slots=True)
class Trace:
    """Answers where a counter went and what a total is made of. `odoo` null leaves Odoo out."""

    books: Books
    odoo: OdooBilling | None

    async def counter(self, wanted: Wanted) -> dict[str, Any]:
        """Return every value of the counters that are wanted, and for each that counts, what it has led to."""
        await self.books.read_catalog()
        partitions = await self.books.partitions()
        searched = range(partitions)
        if wanted.service is not None and wanted.subscription is not None:
            home = partition_of(usage_key(wanted.service, wanted.subscription), partitions)
            searched = range(home, home + 1)
        history = await self._history(wanted, searched, partitions)
        names = list(dict.fromkeys(value.name for value in history.values))
        counters = []
        for name in names:
            values = [value for value in history.values if value.name == name]
            counting = history.counting.get(name)
            keys = [] if counting is None else list(history.shares(counting))
            document = dict(zip(("service", "subscription", "metric", "key"), name, strict=True))
            effects = await self._effects(keys[0], name[2]) if keys else {}
            if keys[1:]:
                # Split: part of it counts in later periods.
                effects["further"] = [await self._effects(key, name[2]) for key in keys[1:]]
            waits = counting is not None and not keys
            counters.append(
                document | {"values": [value_document(value) for value in values], "waits_for_catalog": waits} | effects
            )
        return {"searched_partitions": list(searched), "counters": counters}

    async def derived(self, key: str) -> dict[str, Any]:
        """Return what the overage or total of this key is made of, counter by counter.

        Raises:
            ConfigurationError: nothing was ever published under the key.
        """
        overage = (await self._latest(OVERAGE, Overage.model_validate_json, [key])).get(key)
        name = key if overage is None else overage.total_key
        total = (await self._latest(TOTALS, Total.model_validate_json, [name])).get(name)
        if total is None:
            raise ConfigurationError(f"nothing is published under {key}: name an overage or a total by its whole key")
        await self.books.read_catalog()
        metric = self.books.catalog.metric(total.service, total.metric)
        if metric is None:
            raise ConfigurationError(f"the catalog does not know the metric {total.metric} of {key} any more")
        partitions = await self.books.partitions()
        home = partition_of(usage_key(total.service, total.subscription), partitions)
        wanted = Wanted(service=total.service, subscription=total.subscription, metric=total.metric)
        age = total.version.source_offset
        history = await self._history(wanted, range(home, home + 1), partitions, end=age + 1)
        counting = sorted(history.of_total(name), key=lambda value: (value.offset, value.index))
        comes_to = aggregate(counting, metric)
        return {
            "key": key,
            "as_of": f"{home}:{age}",
            "counters": [value_document(value) for value in counting],
            "displaced": [value_document(value) for value in history.displaced_in(name)],
            "comes_to": format_decimal(comes_to),
            "equal": comes_to == total.quantity and len(counting) == total.counters,
        } | await self._effects(name, total.metric, () if overage is None else (key,))

    async def line(self, line_id: int) -> dict[str, Any]:
        """Return what an order line in Odoo is made of.

        Raises:
            ConfigurationError: it is none of ours, or Odoo was left out.
        """
        if self.odoo is None:
            raise ConfigurationError("an order line can only be looked up with Odoo")
        found = await asyncio.to_thread(self.odoo.read_lines, line_ids=[line_id])
        if not found:
            raise ConfigurationError(f"Odoo has no line {line_id} that bills usage")
        return await self.derived(found[0]["key"])

    async def _history(
        self, wanted: Wanted, searched: Sequence[int], partitions: int, end: int | None = None
    ) -> History:
        history = History(wanted, partitions, self.books.catalog)
        for partition in searched:
            first, log_end = await self.books.bounds(partition)
            async with aclosing(self.books.usage(partition, first, min(end or log_end, log_end))) as runs:
                async for run in runs:
                    for record in run:
                        history.take(record)
        return history

    async def _effects(self, name: str, metric: str, asked: Sequence[str] = ()) -> dict[str, Any]:
        """Return the total of this key, the overage on it, and what has become of that.

        Overage is looked up by the charges that the catalog knows; `asked` are further keys.
        """
        total = (await self._latest(TOTALS, Total.model_validate_json, [name])).get(name)
        if total is None:
            return {"total": None, "overages": []}
        codes = sorted({charge.code for charge in self.books.catalog.all_charges(metric)})
        keys = [overage_key(total.service, total.subscription, code, total.period_start) for code in codes]
        keys += [key for key in asked if key not in keys]
        overages = await self._latest(OVERAGE, Overage.model_validate_json, keys)
        lines = await self._latest(LINES, Line.model_validate_json, keys)
        held = {}
        if self.odoo is not None and overages.held:
            found = await asyncio.to_thread(self.odoo.read_lines, keys=list(overages.held))
            held = {each["key"]: each for each in found}
        return {
            "total": {"key": name, **total.model_dump(mode="json")},
            "overages": [
                {
                    "key": key,
                    **each.record.model_dump(mode="json"),
                    "line": None if (line := lines.get(key)) is None else line.model_dump(mode="json"),
                    "odoo": held.get(key),
                }
                for key, each in overages.held.items()
            ],
        }

    async def _latest(self, topic: Topic, parse: Callable[[bytes], _Record], keys: Iterable[str]) -> Published[_Record]:
        wanted = frozenset(keys)
        published = Published(topic, self.books.reader(topic), parse, wanted.__contains__)
        await published.refresh(self.books.progress, wanted)
        return published
