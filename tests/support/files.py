"""Looking into folders in which somebody works."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sizes_in(folder: Path) -> list[int]:
    """Return the bytes of each file below a folder, but for those that go, or get their names, meanwhile."""
    found = []
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found.append(file.stat().st_size)
    return found
