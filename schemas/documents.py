"""The contracts as documents: a JSON Schema per message, one AsyncAPI document, the settings table.

The schemas describe what readers accept, so golden examples of any release stay valid. The files are written by
``fusion-billing schemas write`` and compared by ``fusion-billing schemas check`` and by a test.
"""

import json
from pathlib import Path
from typing import Any

from schemas import asyncapi, settings_table
from schemas.messages import MESSAGES, json_schema

GENERATED = "schemas/generated"


def text_of(document: dict[str, Any]) -> str:
    """Return a document as it is committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def render() -> dict[str, str]:
    """Return all generated files: path from the repository's root → text."""
    files = {f"{GENERATED}/{message.file_name}": text_of(json_schema(message)) for message in MESSAGES}
    files[f"{GENERATED}/asyncapi.json"] = text_of(asyncapi.document())
    files[settings_table.PATH] = settings_table.render()
    return files


def write(root: Path) -> list[str]:
    """Write what differs under the repository's `root`, remove generated files that are no more; return the paths."""
    files = render()
    changed = differences(root)
    for path in changed:
        if path in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[path], encoding="utf-8")
        else:
            (root / path).unlink()
    return changed


def differences(root: Path) -> list[str]:
    """Return the paths whose files are missing, differ from the models, or belong to nothing."""
    files = render()
    differing = [path for path, text in files.items() if _read(root / path) != text]
    known = {Path(path).name for path in files}
    leftover = [f"{GENERATED}/{path.name}" for path in (root / GENERATED).glob("*") if path.name not in known]
    return sorted(differing + leftover)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
