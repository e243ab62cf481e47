"""The kinds of targets there are; each is imported only when it is used."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.target_settings import TargetSettings
    from backup.targets.contract import Target


@contextmanager
def open_target(settings: TargetSettings) -> Iterator[Target]:
    """Open a target, close it at the end; talks to nobody yet. Raises ConfigInvalid: its key file cannot be read."""
    target = _make(settings)
    try:
        yield target
    finally:
        target.close()


def _make(settings: TargetSettings) -> Target:
    if settings.kind == "folder":
        from backup.targets.folder import FolderTarget  # noqa: PLC0415 - only what is used is imported

        return FolderTarget(settings)
    from backup.targets.swift import SwiftTarget  # noqa: PLC0415 - only what is used is imported

    return SwiftTarget(settings)
