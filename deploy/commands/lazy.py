"""A command group that imports a subcommand's module when that subcommand is run or shown, not before.

A role restarts in the middle of somebody's traffic; it must not spend its first second on the code of the benchmarks.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """Has the commands of its Typer app and those of `elsewhere`.

    elsewhere: subcommand → `module` whose `app` is a group of that name, or `module:command` for one command of that
    module's `app`.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _LazyCommands(self.commands, self.elsewhere)


class _LazyCommands(MutableMapping[str, Any]):
    """Commands by name, the known ones first; reading a value loads it."""

    def __init__(self, loaded: Mapping[str, Any], elsewhere: Mapping[str, str]) -> None:
        self._loaded = dict(loaded)
        self._elsewhere = elsewhere

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._elsewhere[name])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._loaded, *self._elsewhere)))

    def __len__(self) -> int:
        return len(self._loaded.keys() | self._elsewhere.keys())


def _load(name: str, place: str) -> Any:
    module, _, command = place.partition(":")
    group: Any = typer.main.get_group(import_module(module).app)
    if command:
        return group.commands[command]
    group.name = name
    return group
