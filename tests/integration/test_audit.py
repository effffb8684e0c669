"""`fusion-billing audit`, `trace`, `waiting`, `rebuild` and `snapshots` beside a meter on the real broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from schemas.errors import ConfigurationError
from streams.data_directory import locked
from tests.faults.meter_lab import MeterLab, running, under_load
from tests.faults.reference_model import SERVICE
from tests.stack.waiting import wait_until

START = "2026-07-01T00:00:00Z"
WITHIN_S = 60.0

pytestmark = pytest.mark.kafka


def counter(key: str, quantity: str, start: str = "2026-07-03T00:00:00Z", **fields: Any) -> dict[str, Any]:
    """One counter of calls of s0."""
    row = {"subscription": "s0", "metric": "calls", "quantity": quantity, "idempotency_key": key}
    return row | {"period_start": start, "period_end": start} | fields


def command(lab: MeterLab, *words: str) -> tuple[int, Any]:
    """Run a command with --json; its exit code and what it printed."""
    result = CliRunner().invoke(app, [*words, "--json"], env=lab.worker().variables, catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout)


def test_a_healthy_pipeline_has_no_drift(lab: MeterLab) -> None:
    """While counters of all kinds pour in, nothing is called drift; once quiet, everything is equal."""
    with running(lab.worker()):
        with under_load(lab):
            wait_until(lambda: len(lab.latest("totals.v1")) > 20, WITHIN_S, "some totals")
            code, found = command(lab, "audit", "--no-odoo")
            assert (code, found["drift"]) == (0, 0), found
            assert found["equal"] > 0
        lab.wait_until_exact()
        code, found = command(lab, "audit", "--no-odoo")
    assert (code, found["equal"]) == (0, found["compared"]), found
    assert found["compared"] >= len(lab.model.totals()) + len(lab.model.overages())


def test_planted_damage_is_named(lab: MeterLab) -> None:
    """A tampered total, an invented one, a missing overage, an older last word: found, named, mended by a rebuild."""
    worker = lab.worker()
    with running(worker):
        lab.publish_counters(counter("a", "1500"), counter("b", "20"))
        lab.publish_counters(counter("c", "700", subscription="s1"))
        lab.publish_counters(counter("d", "800", subscription="s2"))
        lab.publish_counters(counter("d", "900", subscription="s2"))
        lab.wait_until_exact()
        assert worker.stop() == 0
    totals, overages = lab.latest("totals.v1"), lab.latest("overage.v1")
    places = ("s0/calls", "s0/peak", "s1/calls-fee", "s2/calls")
    tampered, invented, missing, older = (f"maps/{name}/{START}" for name in places)
    lab.write("totals.v1", tampered, totals[tampered] | {"quantity": "1519"})
    lab.write("totals.v1", invented, totals[tampered] | {"metric": "peak", "aggregation": "max"})
    lab.write("overage.v1", missing, None)
    epoch, source, catalog = totals[older]["version"]
    lab.write("totals.v1", older, totals[older] | {"version": [epoch, source, catalog - 1]})
    code, found = command(lab, "audit", "--no-odoo")
    assert code == 3
    drift = {(each["where"], each["key"]): (each["expected"], each["found"]) for each in found["findings"]}
    assert drift.keys() == {
        ("totals.v1", tampered),
        ("totals.v1", invented),
        ("overage.v1", missing),
        ("totals.v1", older),
    }
    assert drift["totals.v1", tampered] == (
        "sum 1520 of 2 until 2026-08-01 00:00:00",
        "sum 1519 of 2 until 2026-08-01 00:00:00",
    )
    assert drift["overage.v1", missing][1] == "nothing"
    assert overages[missing]["amount"] == "2"
    assert {each["outcome"] for each in found["findings"]} == {"drift"}

    result = CliRunner().invoke(app, ["rebuild", "--all", "--yes"], env=worker.variables, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with running(worker):
        wait_until(lambda: _is_mended(lab), WITHIN_S, "everything published anew")


def _is_mended(lab: MeterLab) -> bool:
    code, found = command(lab, "audit", "--no-odoo")
    assert (code, found["equal"]) == (0, found["compared"]), found["findings"]
    return True


def test_trace_tells_the_fate_of_every_value(lab: MeterLab) -> None:
    """Replaced, moved, sent again, of a late revision, refused, on a wrong partition: each with its place."""
    with running(lab.worker()):
        first = lab.publish_counters(counter("a", "1500", revision=1), counter("moves", "30"))
        again = lab.publish_counters(counter("a", "1500", revision=1))
        late = lab.publish_counters(counter("a", "9", revision=0))
        lab.publish_counters(counter("moves", "30", "2026-08-03T00:00:00Z"))
        refused = lab.publish_counters(counter("bad", "-4"), counter("a", "700", revision=2))
        wrong = (first[0] + 1) % lab.partitions
        stray = json.dumps({"service": SERVICE, "counters": [counter("stray", "50")]}).encode()
        _, strayed = lab.publish(stray, partition=wrong)
        lab.model.take(first[0], 10**9, stray)
        lab.wait_until_exact()

    code, [found] = command(lab, "trace", "a", "--service", SERVICE, "--subscription", "s0", "--no-odoo")
    assert code == 0
    [known] = found["counters"]
    assert found["searched_partitions"] == [first[0]]
    assert [(each["offset"], each["fate"]) for each in known["values"]] == [
        (first[1], "replaced"),
        (again[1], "duplicate"),
        (late[1], "superseded"),
        (refused[1], "counted"),
    ]
    assert known["total"]["quantity"] == "750"
    assert [(each["charge"], each["amount"]) for each in known["overages"]] == [("calls-fee", "2.5")]

    _, [moved, bad, far] = command(lab, "trace", "moves", "bad", "stray", "--no-odoo")
    assert [each["fate"] for each in moved["counters"][0]["values"]] == ["replaced", "counted"]
    assert moved["counters"][0]["total"]["key"] == "maps/s0/calls/2026-08-01T00:00:00Z"
    assert [each["fate"] for each in bad["counters"][0]["values"]] == ["refused"]
    assert bad["counters"][0]["values"][0]["by"].startswith("negative_quantity")
    fates = {each["partition"]: each["fate"] for each in far["counters"][0]["values"]}
    assert fates == {wrong: "sent on", first[0]: "counted"}
    assert f"{wrong}:{strayed}#0" in {each["place"] for each in far["counters"][0]["values"]}

    code, [back] = command(lab, "trace", f"maps/s0/calls-fee/{START}", "--no-odoo")
    assert code == 0
    assert (back["comes_to"], back["equal"]) == ("750", True)
    assert {each["key"]: each["quantity"] for each in back["counters"]} == {"a": "700", "stray": "50"}
    assert {each["key"] for each in back["displaced"]} == {"a", "moves"}
    assert command(lab, "trace", "nowhere", "--no-odoo")[0] == 1


def test_rebuild_gives_the_same_totals_and_snapshots_verify_finds_a_flipped_bit(lab: MeterLab) -> None:
    """Rebuild refuses a directory in use, puts snapshots aside, and they are gone once the new store is saved."""
    worker = lab.worker()
    with running(worker):
        lab.publish_counters(counter("a", "1500"), counter("b", "20"))
        for unknown in (counter("x", "3", metric="unheard"), counter("c", "700", subscription="nobody")):
            value = json.dumps({"service": SERVICE, "counters": [unknown]}).encode()
            lab.publish(value, key=f"{SERVICE}/{unknown['subscription']}")
        lab.publish_counters(counter("d", "700", subscription="s1"))
        worker.wait_for("snapshot.written")
        wait_until(lambda: lab.latest("totals.v1").get(f"maps/s1/calls/{START}"), WITHIN_S, "the last total")
        assert worker.stop() == 0
    before = lab.latest("totals.v1")

    code, known = command(lab, "snapshots", "verify")
    assert (code, {each["problem"] for each in known}) == (0, {None})
    path = Path(known[0]["path"])
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 1
    path.write_bytes(raw)
    code, found = command(lab, "snapshots", "verify")
    assert code == 1
    assert [each["path"] for each in found if each["problem"]] == [str(path)]
    assert command(lab, "snapshots", "list")[0] == 0

    code, found = command(lab, "waiting")
    assert {(each["subscription"], each["metric"]): (each["total"], each["missing"]) for each in found} == {
        ("s0", "unheard"): ("3", ["unknown metric"]),
        ("nobody", "calls"): ("700", ["unknown subscription"]),
    }

    directory = Path(worker.variables["FUSION_METER_DATA_DIR"])
    with locked(directory), pytest.raises(ConfigurationError, match="in use"):
        CliRunner().invoke(app, ["rebuild", "--all", "--yes"], env=worker.variables, catch_exceptions=False)
    result = CliRunner().invoke(app, ["rebuild", "--all", "--yes"], env=worker.variables, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert {each.parent.name for each in worker.snapshots()} == {"aside"}
    with running(worker):
        lab.publish_counters(counter("e", "1", subscription="s1"))
        wait_until(lambda: not list(directory.rglob("aside")), WITHIN_S, "new snapshots in the place of the old ones")
        assert worker.stop() == 0
    after = lab.latest("totals.v1")
    assert {key: value["quantity"] for key, value in after.items()} == {
        key: value["quantity"] for key, value in before.items()
    } | {f"maps/s1/calls/{START}": "701"}
