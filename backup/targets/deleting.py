"""Targets one can delete at. The pruner's, and for a host's own unfinished runs: import contracts keep out the rest."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.target_settings import TargetSettings
    from backup.targets.contract import DeletingTarget


@contextmanager
def open_for_deleting(settings: TargetSettings) -> Iterator[DeletingTarget]:
    """Open a target, close it at the end; talks to nobody yet. Raises ConfigInvalid: its key file cannot be read."""
    target = _make(settings)
    try:
        yield target
    finally:
        target.close()


def _make(settings: TargetSettings) -> DeletingTarget:
    if settings.kind == "folder":
        from backup.targets.folder import DeletingFolder  # noqa: PLC0415 - only what is used is imported

        return DeletingFolder(settings)
    from backup.targets.swift import DeletingSwift  # noqa: PLC0415 - only what is used is imported

    return DeletingSwift(settings)
