"""Percentiles, medians, ratios, bounds: small arithmetic that decides what is believed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploy.bench.common.errors import BenchmarkFailed
from deploy.bench.common.kafka_io import Incoming
from deploy.bench.common.scrape import parse
from deploy.bench.meter import baselines
from deploy.bench.meter.latency import Sent, latencies_of
from deploy.bench.meter.measure import Applied, Run
from deploy.bench.meter.plan import Plan
from deploy.bench.meter.process import applied_records
from deploy.bench.meter.result import OURS, Result
from deploy.bench.meter.run import growth

RUN = Run(OURS, 1_000, 900, applied_s=1.0, published_s=2.0, cpu_s=1.0, peak_rss_mib=10.0, faults=[])


def test_a_counter_has_arrived_with_the_first_total_that_holds_its_record() -> None:
    """Weighted by counters; a later total covers all earlier records."""
    sent = [Sent(10, 1.0, {"a": 2, "b": 1}), Sent(11, 2.0, {"a": 1})]
    heard = [_total("a", 9, 2.5), _total("b", 10, 3.0), _total("a", 11, 4.0)]
    assert latencies_of(sent, heard).tolist() == [2.0, 3.0, 3.0, 2.0]


def test_a_counter_that_never_arrives_gives_no_percentile() -> None:
    """Lost counters must not make latency look good."""
    with pytest.raises(BenchmarkFailed, match="not seen"):
        latencies_of([Sent(10, 1.0, {"a": 1})], [_total("a", 9, 2.0)])


def test_rates_are_medians_and_wrong_results_give_none() -> None:
    """A fast wrong engine has no rate and no ratio."""
    slow, fast = replace(RUN, applied_s=2.0), replace(RUN, applied_s=0.5)
    peers = [replace(RUN, engine="bytewax", applied_s=2.0), replace(RUN, engine="kafka_streams", faults=["a"])]
    figures = Result(Plan(), broker_is_tuned_down=False, containers=[slow, RUN, fast, *peers]).as_json()
    assert (figures["counters_per_second"], figures["ratio_vs_bytewax"]) == (1_000, 2.0)
    assert (figures["ratio_vs_kafka_streams"], figures["verified"]) == (None, 1)
    assert json.loads(json.dumps(figures))["detail"]["containers"][3]["engine"] == "bytewax"


@pytest.mark.parametrize(
    "result",
    [
        Result(Plan(), broker_is_tuned_down=False),
        Result(Plan(), broker_is_tuned_down=False, containers=[RUN], singles=[replace(RUN, faults=["lost"])]),
        Result(Plan(), broker_is_tuned_down=False, containers=[RUN], faults=["after kill -9: a cent"]),
        Result(Plan(), broker_is_tuned_down=False, containers=[replace(RUN, engine="bytewax")]),
    ],
)
def test_verified_needs_every_comparison_to_have_been_equal(result: Result) -> None:
    """Nothing compared is not verified either."""
    assert result.as_json()["verified"] == 0


def test_bounds_name_what_is_worse_and_forgive_what_was_not_measured() -> None:
    """The file beside the tests is in force."""
    figures = {"counters_per_second": 10, "latency_p99_seconds": 2.5, "ratio_vs_bytewax": None, "verified": 1}
    assert [line.split()[0] for line in baselines.missed(figures)] == ["counters_per_second", "latency_p99_seconds"]


def test_applied_records_are_counted_from_where_the_run_began() -> None:
    """Offsets are of the last applied record; a partition without a sample has applied nothing."""
    samples = parse(
        b'# HELP x y\nfusion_applied_offset{partition="0"} 9.0\nfusion_applied_offset{partition="1"} 1.2e+01\n'
    )
    assert applied_records(samples, {0: 0, 1: 10, 2: 5}) == 10 + 3


def test_growth_compares_the_rate_at_a_million_keys_with_the_rate_at_the_end() -> None:
    """A store that gets slower shows it."""
    plan = replace(Plan(), full_keys=4_000_000)
    progress = [(number / 10, number * 400) for number in range(11)] + [
        (1 + number / 5, 4000 + number * 400) for number in range(1, 11)
    ]
    rates = growth(Applied(0, 0, 0, progress), plan)
    assert {keys: round(rate) for keys, rate in rates.items()} == {1_000_000: 2_000_000, 3_800_000: 1_000_000}


def _total(name: str, applied_offset: int, read_at: float) -> Incoming:
    value = {"subscription": name, "version": [1, applied_offset, 0]}
    return Incoming(0, 0, name.encode(), json.dumps(value).encode(), read_at)
