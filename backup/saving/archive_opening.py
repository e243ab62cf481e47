"""A target opened for what a server writes between two runs: only where the disk is that a run has known there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from backup.targets.disk_mark import DiskMark
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.document import BackupSettings
    from backup.targets.contract import Target


@contextmanager
def open_for_archive(settings: BackupSettings, target_name: str, set_name: str) -> Iterator[Target]:
    """Open a target to archive there. Raises TargetAway when its disk is another one; what the target raises.

    No target.reach(): where a disk is not mounted it would make the root anew. A run does.
    """
    at = settings.find_target(target_name)
    with open_target(at) as target:
        DiskMark(settings, at, target).demand(set_name)
        yield target
