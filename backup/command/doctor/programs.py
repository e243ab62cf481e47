"""What `bkp doctor` finds out about the programs that backups need."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from backup.command.doctor.finding import Finding
from backup.engine.program import INSTALL, find_program
from backup.errors import BackupError
from backup.targets.rclone_program import INSTALL as INSTALL_RCLONE
from backup.targets.rclone_program import find_rclone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.document import BackupSettings


def examine_programs(settings: BackupSettings) -> Iterator[Finding]:
    """Yield which ones there are, and which are missing."""
    try:
        found = find_program()
    except BackupError as error:
        yield Finding(what="duplicity", level="fault", text=str(error), remedy=INSTALL)
    else:
        yield Finding(what="duplicity", level="ok", text=f"{found.version}, {found.arguments[-1]}")
    if shutil.which("gpg") is None:
        yield Finding(what="gpg", level="fault", text="it is not installed", remedy="apt install gnupg")
    else:
        yield Finding(what="gpg", level="ok", text=str(shutil.which("gpg")))
    places = [*settings.targets, *([] if settings.marks is None else [settings.marks])]
    if not any(place.kind == "rclone" for place in places):
        return
    try:
        rclone = find_rclone()
    except BackupError as error:
        yield Finding(what="rclone", level="fault", text=str(error), remedy=INSTALL_RCLONE)
    else:
        yield Finding(what="rclone", level="ok", text=f"{rclone.version}, {rclone.path}")
