"""A restored MariaDB server started for a drill: by settings of the drill's own, without a port.

Its passwords are not known here, so whoever reaches its socket is let in; the socket lies in a folder only its account
may enter. Without its accounts it loads no plugins and functions either that its tables name, and starts no events.
Links and .isl files, which lead to files elsewhere on this machine, are refused: a host that was broken into could have
saved some. That is no protection from all it could save: paths of tablespaces also stand in InnoDB's own dictionary
(ibdata1) and redo log, which are the host's too and which the server follows, as far as its account may.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from backup.errors import DrillFailed
from backup.proof.contract import MOST_NAMED
from backup.proof.mariadb_server import ScratchMariadb
from backup.sources.mysql.mariadb_situation import CASE, DATA_FILES, PAGE_SIZE
from core.runtime.account import hand_over

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from backup.proof.contract import Limits

_SETTINGS: Final = {PAGE_SIZE: r"\d{4,5}", CASE: r"[012]", DATA_FILES: r"[A-Za-z0-9_.:;-]+"}


class RestoredMariadb(ScratchMariadb):
    """The server of the data directory `data`, which `record` (its consistency record) tells of.

    programs: of its series, no other starts on it. Raises DrillFailed: the files lead elsewhere, settings of the record
    are none.
    """

    def __init__(
        self, folder: Path, data: Path, record: Mapping[str, Any], programs: Path | None, limits: Limits
    ) -> None:
        super().__init__(folder, programs, limits)
        self._data = data
        demand_no_way_out(data)
        self._settings = settings_of(record)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it; it has ended when this is left. Raises DrillFailed with the end of its log."""
        self._make_folder()
        hand_over(self._data.parent, self._account)
        with super().running():
            yield

    def _more_options(self) -> Sequence[str]:
        return [
            *super()._more_options(),
            "--skip-grant-tables",
            "--skip-symbolic-links",
            *(f"--{name.replace('_', '-')}={value}" for name, value in self._settings.items()),
        ]

    def _ready_seconds(self) -> float:
        return self._limits.left_seconds("the server recovered")


def demand_no_way_out(data: Path) -> None:
    """Raise DrillFailed when the files are not all in the folder itself: a copy has neither links nor .isl files."""
    ways = [path for path in (data, *data.rglob("*")) if path.is_symlink() or path.suffix == ".isl"]
    if ways or not data.is_dir():
        names = ", ".join(str(path.relative_to(data.parent)) for path in ways[:MOST_NAMED]) or "nothing there"
        raise DrillFailed(f"{data.name} is no folder of a server's own files ({names}): none is started on it")


def settings_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what the copy is started with; it comes from the host, and nothing else of it reaches a command line."""
    named = record.get("settings")
    found = {name: str(named.get(name)) for name in _SETTINGS} if isinstance(named, dict) else {}
    wrong = [name for name, form in _SETTINGS.items() if re.fullmatch(form, found.get(name, "")) is None]
    if wrong:
        raise DrillFailed(f"the manifest names no {', '.join(wrong)} that a server could be started with")
    return found
