"""What `bkp doctor` finds out about the sets that are saved here."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

from backup.command.doctor.databases import examine_database
from backup.command.doctor.domains import examine_domain
from backup.command.doctor.finding import Finding
from backup.command.doctor.snapshots import examine_snapshots
from backup.command.set_state import read_state
from backup.errors import BackupError
from backup.sources.files.own_places import left_out_of, said_left_out
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


def examine_set(settings: BackupSettings, chosen: SetSettings) -> Iterator[Finding]:
    """Yield what is found of a set that has a source."""
    yield from examine_database(settings, chosen)
    what = f"set {chosen.name}"
    if chosen.paths is not None:
        for level, text, remedy in examine_snapshots(chosen.paths):
            yield Finding(what=what, level=level, text=text, remedy=remedy)
        yield from _unread(settings, chosen)
    if chosen.libvirt is not None:
        for level, text, remedy in examine_domain(chosen.libvirt):
            yield Finding(what=what, level=level, text=text, remedy=remedy)
    try:
        if said := said_left_out(left_out_of(settings, chosen)):
            yield Finding(what=what, level="ok", text=f"leaves out what is Watchkeep's own: {said}")
    except BackupError as error:
        yield Finding(what=what, level="fault", text=str(error), remedy="correct its paths in backup.toml")
    if not (settings.work / chosen.name).exists():
        yield Finding(what=what, level="ok", text="no cache here yet: its next run is a full")


def _unread(settings: BackupSettings, chosen: SetSettings) -> Iterator[Finding]:
    """Yield what the last good backup could not read: only a run finds out."""
    file = settings.state / f"{chosen.name}.json"
    count = (read_state(file).get("last_good") or {}).get("unreadable")
    if not count:
        return
    owner = file.stat().st_uid
    remedy = "its manifest names the first of them: let that user read them, or leave them out with paths.exclude"
    if owner != 0:
        remedy += "; with the right CAP_DAC_READ_SEARCH it reads files of all users (docs/backup-files.md)"
    yield Finding(
        what=f"set {chosen.name}",
        level="warning",
        text=f"{counted(count, 'entry')} of its last backup could not be read by user {_name(owner)}",
        remedy=remedy,
    )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
