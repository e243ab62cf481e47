"""The kinds of targets there are; each is imported only when it is used."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.target import TargetSettings
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
    match settings.kind:  # only what is used is imported
        case "folder":
            from backup.targets.folder import FolderTarget  # noqa: PLC0415 - as said

            return FolderTarget(settings)
        case "swift":
            from backup.targets.swift import SwiftTarget  # noqa: PLC0415 - as said

            return SwiftTarget(settings)
        case "sftp":
            from backup.targets.sftp import SftpTarget  # noqa: PLC0415 - as said

            return SftpTarget(settings)
        case "s3":
            from backup.targets.s3 import S3Target  # noqa: PLC0415 - as said

            return S3Target(settings)
        case "rclone":
            from backup.targets.rclone import RcloneTarget  # noqa: PLC0415 - as said

            return RcloneTarget(settings)
