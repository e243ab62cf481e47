"""The highest number seen of each boot, and its checksum: they tell a source that it was rolled back, also later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from core.spool.lineage import Seen
from proxy.files import read_whole, write_whole

if TYPE_CHECKING:
    from pathlib import Path

_log = Log("custody")
_BOOTS_A_SOURCE: Final = 8
_NOTHING: Final = Seen(0)


class SeenNumbers:
    """Kept for the last boots of each source; a crash forgets what was seen since the last `save`."""

    def __init__(self, file: Path) -> None:
        """Read `file`; a missing or damaged one counts as nothing seen."""
        self._file = file
        self._seen: dict[bytes, dict[int, Seen]] = {}
        self._is_saved = True
        for row in read_whole(file) or []:
            match row:
                case [bytes(source), int(boot), int(number), int(checksum)]:
                    self.note(source, boot, Seen(number, checksum))
        self._is_saved = True

    def note(self, source: bytes, boot: int, seen: Seen) -> None:
        """Take note of a number and its record's checksum."""
        boots = self._seen.setdefault(source, {})
        if seen.number <= boots.get(boot, _NOTHING).number:
            return
        if boot not in boots and len(boots) >= _BOOTS_A_SOURCE:
            del boots[next(iter(boots))]
        boots[boot] = seen
        self._is_saved = False

    def highest(self, source: bytes, boot: int) -> Seen:
        """Return the highest number seen; 0 when none was."""
        return self._seen.get(source, {}).get(boot, _NOTHING)

    def save(self) -> None:
        """Write what is new to disk; a failure is logged and tried again next time."""
        if self._is_saved:
            return
        rows = [[source, boot, *seen] for source, boots in self._seen.items() for boot, seen in boots.items()]
        try:
            write_whole(self._file, rows)
        except OSError as error:
            _log.warning("The numbers seen cannot be written", file=self._file, error=error)
        else:
            self._is_saved = True
