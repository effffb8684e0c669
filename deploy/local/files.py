"""Writing small files so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def write_private(path: Path, text: str) -> None:
    """Replace the file with `text`, readable by its owner only (0600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def fingerprint(parts: Iterable[str], files: Iterable[Path] = ()) -> str:
    """A short hash over texts and over the names and bytes of files; equal input, equal hash."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.name}:{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]


def size_mb(folder: Path) -> int:
    """Megabytes below a folder, 0 when it is missing; files that vanish meanwhile do not count."""
    total_bytes = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total_bytes += (Path(root) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total_bytes // 1_000_000
