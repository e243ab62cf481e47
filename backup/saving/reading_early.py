"""Reads volumes back while duplicity makes the next ones, so that a run need not wait for that at its end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

from backup.engine.names import role_of, volume_number
from backup.errors import BackupError
from backup.model import Role
from backup.saving.comparison import read_back
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backup.saving.comparison import ReadBack
    from backup.settings.target import TargetSettings
    from backup.targets.contract import Target

_LOOK_SECONDS: Final = 1.0
_PAUSE: Final = 10  # times what a look took: some targets bill them, or have a program started for each
_END_SECONDS: Final = 5.0  # a target that does not answer may hold a call for longer; then the thread is left to itself


class _Ended(Exception):
    """Nobody waits for it any more."""


class EarlyReading:
    """A context: from `begin` to its end, a thread with a connection of its own reads what has come.

    It judges nothing: what it read, `compare` looks at when duplicity has said what it meant to send. A volume is read
    when one with a higher number is there; before, it may be half written. At the first trouble it stops: everything it
    has not read is read at the end. `found`: what was read, by path.
    """

    def __init__(self, at: TargetSettings, before: Mapping[str, Mapping[str, int]]) -> None:
        """before: the files that are no business of this run, by folder."""
        self._at, self._before = at, before
        self.found: dict[str, ReadBack] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reading early", daemon=True)

    def begin(self) -> None:
        """Begin; call it when the programs of the run have been started: forking and threads do not mix well."""
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join(_END_SECONDS)
        self.found = dict(self.found)

    def _work(self) -> None:
        try:
            with open_target(self._at) as target:
                pause = _LOOK_SECONDS
                while not self._is_over.wait(pause):
                    began = time.monotonic()
                    came = {folder: self._look(target, folder) for folder in self._before}
                    pause = max(_LOOK_SECONDS, _PAUSE * (time.monotonic() - began))
                    self._read(target, came)
        except (_Ended, BackupError):
            pass

    def _look(self, target: Target, folder: str) -> list[str]:
        """Return the volumes that are whole: one with a higher number is there."""
        before = self._before[folder]
        volumes = [name for name in target.files(folder) if name not in before and role_of(name) is Role.VOLUME]
        return sorted(volumes, key=volume_number)[:-1]

    def _read(self, target: Target, came: Mapping[str, list[str]]) -> None:
        for folder, names in came.items():
            for name in names:
                path = f"{folder}/{name}"
                if path not in self.found:
                    self.found[path] = read_back(target, path, self._go_on)

    def _go_on(self, _: int) -> None:
        if self._is_over.is_set():
            raise _Ended
