"""The settings as a table for readers, made from `schemas.settings.Settings`. Pure."""

from typing import Any

from schemas.settings import ENV_PREFIX, Settings

PATH = "docs/settings.md"
"""Where the table is committed, from the repository's root."""

_HEAD = """# Settings

Read from the environment once, at the start of a role. A wrong value stops the start with one sentence that names the
variable. Each can also come from a file: `FUSION_X_FILE=/path` reads `FUSION_X` from there and wins over it; secrets
(marked) should. Times are in seconds, sizes in bytes. Written by `fusion-billing schemas write`.

| variable | default | values | meaning |
|---|---|---|---|
"""
_KINDS = {"path": "path", "password": "secret"}


def render() -> str:
    """Return the Markdown page."""
    return _HEAD + "".join(_row(name, field) for name, field in _fields().items())


def _fields() -> dict[str, dict[str, Any]]:
    fields: dict[str, dict[str, Any]] = Settings.model_json_schema()["properties"]
    return fields


def _row(name: str, field: dict[str, Any]) -> str:
    default = field.get("default")
    shown = "none" if default in (None, "") else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    cells = (f"`{ENV_PREFIX}{name.upper()}`", shown, _values(field), field["description"])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _values(field: dict[str, Any]) -> str:
    """Return what a value may be: the listed words, a range, or the kind of text."""
    field = next((option for option in field.get("anyOf", []) if option["type"] != "null"), field)
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if field["type"] == "boolean":
        return "`true`, `false`"
    if field["type"] == "string":
        return f"`{field['pattern']}`" if "pattern" in field else _KINDS.get(field.get("format", ""), "text")
    return " ".join(["whole number" if field["type"] == "integer" else "number", *_bounds(field)])


def _bounds(field: dict[str, Any]) -> list[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    return [f"{sign} {field[name]:g}" for name, sign in signs.items() if name in field]
