"""Tells whether a field may occur twice in a batch: the typed decoder would take the last in silence. Pure."""

import re

# An escaped ASCII letter or underscore could hide a field's name from `check_names`.
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")


def holds_only(value: bytes, strings: int) -> bool:
    """Tell whether `value` has just so many strings: then no name can occur twice. One cheap look at the usual case."""
    return b"\\" not in value and value.count(b'"') == 2 * strings


def check_names(value: bytes, counts: dict[str, int | None]) -> None:
    """Raise unless each name occurs exactly so often, or where that is null at most once.

    A text that equals a name is taken for one: it costs that batch its speed, nothing else.
    """
    if _ESCAPED_LETTER.search(value):
        raise ValueError("an escaped name")
    for name, expected in counts.items():
        found = value.count(b'"%b"' % name.encode())
        if found != expected and (expected is not None or found > 1):
            raise ValueError("a field may occur twice")
