"""`./deploy/test`: everything the tests need, then all checks and tests, then a table of what they took.

./deploy/test                      all of it
./deploy/test --fast               what needs no Kafka, PostgreSQL or Odoo
./deploy/test --faults             the long fault set of meter and webhooks, under an hour, with a table of faults
./deploy/test --keep               leave Kafka and PostgreSQL running for `pytest`
./deploy/test -- -k outbox -x      the words after `--` go to pytest
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.local import programs
from deploy.local.errors import LocalStackError
from deploy.local.odoo_config import Server
from deploy.local.odoo_template import our_addons
from deploy.local.ports import draw_free_port
from deploy.local.settings import REPOSITORY, LocalSettings
from deploy.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DIRECTORY = Path(".local/test")
_ADDONS = ("deploy/odoo/addons/fusion_billing", "deploy/odoo/dev_addons/sale_subscription")
_PYTHON_CHECKS: Mapping[str, Sequence[str]] = {
    "lint": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "types": ("mypy",),
    "layers": ("lint-imports",),
    "addons": ("pylint", "--rcfile=deploy/odoo/.pylintrc", "--score=n", *_ADDONS),
}
_ENDS_WITHIN_S = 60
_NEEDS_STACK = "kafka or odoo or faults"
_COMPILE = "from streams.warm_up import warm_up; warm_up()"
# Three processes on two cores, as most of the time is waiting for servers; a module's tests share its servers, so it
# stays whole.
_IN_PARALLEL = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
# Tests one by one, as they last unequally long; the longest takes some ten minutes on two cores.
_FAULTS = ("tests/faults", "--faults-long", "--dist", "load", "--timeout", "2400", "-v")


@dataclass(slots=True)
class Report:
    """What was done, how long it took and whether it went well."""

    results: list[tuple[str, float, bool]] = field(default_factory=list)

    def run(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Run a program with its output on the terminal and note the result."""
        sys.stderr.write(f"── {name}: {' '.join(argv)}\n")
        began = time.monotonic()
        program = subprocess.Popen(list(argv), cwd=REPOSITORY, env=dict(env))
        try:
            code = program.wait()
        except (KeyboardInterrupt, SystemExit) as stop:
            # The program has servers of its own to stop first. Ctrl-C has reached it already.
            if isinstance(stop, SystemExit):
                program.send_signal(signal.SIGINT)
            _end(program)
            raise
        self.results.append((name, time.monotonic() - began, code == 0))

    @property
    def is_good(self) -> bool:
        """True when nothing failed."""
        return all(is_good for _, _, is_good in self.results)

    def print(self) -> None:
        """The table at the end."""
        table = Table("step", "seconds", "result")
        for name, lasted_s, is_good in self.results:
            table.add_row(name, f"{lasted_s:.1f}", "[green]ok[/]" if is_good else "[red]failed[/]")
        Console().print(table)


def main(
    pytest_words: Annotated[list[str] | None, typer.Argument(help="words for pytest, after --")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="only what needs no Kafka, PostgreSQL or Odoo")] = False,
    faults: Annotated[bool, typer.Option("--faults", help="only the long fault set of meter and webhooks")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="leave the stack running afterwards")] = False,
) -> None:
    """Run all checks and tests on a real Kafka, PostgreSQL and Odoo, in a stack of their own.

    Example: ./deploy/test -- -k outbox -x
    """
    # Whoever stops us stops what we started, too; for Ctrl-C Python does this by itself.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    report, words = Report(), pytest_words or []
    try:
        if fast:
            _checks(report)
            _pytest(report, ["-m", f"not ({_NEEDS_STACK})", *words], stack=None)
        else:
            _with_stack(report, [*(_FAULTS if faults else ()), *words], keep=keep, only_pytest=faults)
    except LocalStackError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    finally:
        report.print()
    raise typer.Exit(0 if report.is_good else 1)


def _end(program: subprocess.Popen[bytes]) -> None:
    try:
        program.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def _with_stack(report: Report, words: Sequence[str], *, keep: bool, only_pytest: bool) -> None:
    directory = LocalSettings().dir if "FUSION_LOCAL_DIR" in os.environ else DIRECTORY
    stack = Stack.of(LocalSettings(dir=directory, kafka_fast_start=True, postgres_fsync=False))
    # A second run waits: the end of the first one stops the stack.
    with stack.locked("tests.lock"):
        _all_steps(report, stack, words, keep=keep, only_pytest=only_pytest)


def _all_steps(report: Report, stack: Stack, words: Sequence[str], *, keep: bool, only_pytest: bool) -> None:
    try:
        began = time.monotonic()
        template = stack.up_for_tests()
        report.results.append(("stack", time.monotonic() - began, True))
        if not only_pytest:
            _checks(report)
            _addon_tests(report, stack, template)
        _pytest(report, words, stack=stack)
    finally:
        if not keep:
            stack.down()


def _checks(report: Report) -> None:
    for name, argv in _PYTHON_CHECKS.items():
        report.run(name, [_tool(argv[0]), *argv[1:]], programs.clean_environment())


def _pytest(report: Report, words: Sequence[str], stack: Stack | None) -> None:
    # Once, and not in each process of the tests at the same time: half a minute on a fresh machine.
    report.run("compile", [sys.executable, "-c", _COMPILE], programs.clean_environment())
    own = {} if stack is None else {"FUSION_TEST_STACK": str(stack.layout.stack)}
    report.run("pytest", [_tool("pytest"), *_IN_PARALLEL, *words], {**programs.clean_environment(), **own})


def _addon_tests(report: Report, stack: Stack, template: str) -> None:
    """Odoo's own runner, on a copy of the template, for the tests inside our addons."""
    odoo = stack.templates.odoo
    addons = our_addons(odoo.addon_folders)
    if not addons:
        return
    database = f"addons_{secrets.token_hex(6)}"
    stack.templates.copy(template, database)
    try:
        config = odoo.layout.run / "odoo-tests.conf"
        odoo.write_config(config, Server(database, port=draw_free_port(), gevent_port=draw_free_port()))
        tags = ",".join(f"/{addon}" for addon in addons)
        words = ("server", "-c", str(config), "-u", ",".join(addons), "--test-tags", tags, "--stop-after-init")
        # A failed test prints itself as an error; of the rest of Odoo's log only the sum says something here, and
        # which `sale_subscription` it was that kept the contract.
        talkers = ("odoo.tests.result", "odoo.addons.fusion_billing.tests.test_subscription_contract")
        quiet = ("--log-level=warn", *(f"--log-handler={name}:INFO" for name in talkers))
        report.run("Odoo's tests", odoo.argv(*words, *quiet), odoo.environment())
    finally:
        stack.templates.drop(database)


def _tool(name: str) -> str:
    return programs.find(name, Path(sys.executable).parent)


if __name__ == "__main__":
    typer.run(main)
