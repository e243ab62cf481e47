"""Holds the rows of a restored database against those that were counted when it was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backup.errors import BackupDamaged
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backup.model import Manifest

_MOST_NAMED: Final = 5


def compare_rows(saved: Mapping[str, Any], found: Mapping[str, int]) -> None:
    """Return when every table has the rows that were saved. Raises BackupDamaged naming those that have not."""
    wrong = differing_rows(saved, found)
    if wrong:
        raise BackupDamaged(f"not as saved: {counted(len(wrong), 'table')}, {', '.join(wrong[:_MOST_NAMED])}")


def differing_rows(saved: Mapping[str, Any], found: Mapping[str, int]) -> list[str]:
    """Return which tables do not have the rows that were saved, and how."""
    return [
        f"{name}: {counted(found[name], 'row') if name in found else 'not there'},"
        f" saved {saved.get(name, 'not at all')}"
        for name in sorted({*saved, *found})
        if saved.get(name) != found.get(name)
    ]


def judged(manifest: Manifest, database: str, found: Mapping[str, int]) -> dict[str, Any]:
    """Return what was loaded, as the command tells it, after comparing it. Raises BackupDamaged.

    is_compared: False when nothing was counted while saving (`count_rows = false`).
    """
    saved = manifest.consistency.get("rows")
    if isinstance(saved, dict):
        compare_rows(saved, found)
    return {
        "database": database,
        "tables": len(found),
        "rows": sum(found.values()),
        "is_compared": isinstance(saved, dict),
        "taken_at": manifest.consistency.get("taken_at"),
    }
