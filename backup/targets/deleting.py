"""Targets one can delete at. The pruner's, and for a host's own unfinished runs: import contracts keep out the rest."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.target import TargetSettings
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
    match settings.kind:  # only what is used is imported
        case "folder":
            from backup.targets.folder import DeletingFolder  # noqa: PLC0415 - as said

            return DeletingFolder(settings)
        case "swift":
            from backup.targets.swift import DeletingSwift  # noqa: PLC0415 - as said

            return DeletingSwift(settings)
        case "sftp":
            from backup.targets.sftp import DeletingSftp  # noqa: PLC0415 - as said

            return DeletingSftp(settings)
        case "s3":
            from backup.targets.s3 import DeletingS3  # noqa: PLC0415 - as said

            return DeletingS3(settings)
        case "rclone":
            from backup.targets.rclone import DeletingRclone  # noqa: PLC0415 - as said

            return DeletingRclone(settings)
