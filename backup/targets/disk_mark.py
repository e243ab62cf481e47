"""How a host knows the disk of a folder target again: a mark there, and what it remembers of it.

A mount point stays when its disk is away, and takes backups then: they would lie on the system's own disk and look
like the first ones ever. So the first good run at a folder leaves `HOST/disk.json` with an id, which the host keeps in
its work folder, too. Where another disk, or none, lies from then on, nothing is written.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Final

from backup.errors import ObjectMissing, TargetAway, WorkFailed
from backup.runtime.durable import hold_lock, write_durably
from backup.targets.small import parse_table, read_start

if TYPE_CHECKING:
    from backup.settings.document import BackupSettings
    from backup.settings.target import TargetSettings
    from backup.targets.contract import Target

MARK: Final = "disk.json"
_FORM: Final = "watchkeep-disk-1"


class DiskMark:
    """The mark of a folder target, as this host left or found it; other kinds of targets have none."""

    def __init__(self, settings: BackupSettings, at: TargetSettings, target: Target) -> None:
        self._at, self._target = at, target
        self._name = f"{settings.host}/{MARK}"
        self._remembered = settings.work / ".disks" / at.name

    def demand(self, set_name: str) -> None:
        """Return when the disk is the one remembered, or none is. Makes nothing. Raises TargetAway, WorkFailed."""
        known = self._known()
        if known is None:
            return
        there = self._there()
        if there != known:
            found = "is not there" if there is None else "is another one"
            raise TargetAway(
                f"target {self._at.name!r}: the disk at {self._at.folder} is not the one this host knows: its mark"
                f" {self._name} {found}. Nothing was written. Mount the disk; if it was emptied, moved or exchanged on"
                f" purpose: bkp run {set_name} --anew"
            )

    def is_there(self) -> bool:
        """Whether a mark is there, or none is needed."""
        return self._at.folder is None or self._there() is not None

    def adopt(self) -> None:
        """Remember the mark that is there; make one where none is. Raises what the target raises, WorkFailed, SetBusy.

        One at a time: of two sets saved there for the first time each would make a mark, and not know the other's.
        """
        if self._at.folder is None:
            return
        lock = self._remembered.with_name(f".{self._at.name}.lock")
        with hold_lock(lock, f"the mark of target {self._at.name!r}"):
            there = self._there()
            if there is None:
                there = secrets.token_hex(16)
                self._target.write(self._name, (json.dumps({"form": _FORM, "id": there}) + "\n").encode())
            if there != self._known():
                try:
                    write_durably(self._remembered, there)
                except OSError as error:
                    raise WorkFailed(f"{self._remembered} cannot be written: {error.strerror}") from error

    def _known(self) -> str | None:
        if self._at.folder is None:
            return None
        try:
            return self._remembered.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise WorkFailed(f"{self._remembered} cannot be read: {error.strerror}") from error

    def _there(self) -> str | None:
        try:
            return str(parse_table(read_start(self._target, self._name), _FORM)["id"])
        except (ObjectMissing, ValueError, KeyError):
            return None
