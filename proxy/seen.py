"""The highest number seen of each boot: it tells a source that it was rolled back, also after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from proxy.files import read_whole, write_whole

if TYPE_CHECKING:
    from pathlib import Path

_log = Log("custody")
_BOOTS_A_SOURCE: Final = 8


class SeenNumbers:
    """Kept for the last boots of each source; a crash forgets what was seen since the last `save`."""

    def __init__(self, file: Path) -> None:
        """Read `file`; a missing or damaged one counts as nothing seen."""
        self._file = file
        self._seen: dict[bytes, dict[int, int]] = {}
        self._is_saved = True
        for row in read_whole(file) or []:
            match row:
                case [bytes(source), int(boot), int(number)]:
                    self.note(source, boot, number)
        self._is_saved = True

    def note(self, source: bytes, boot: int, number: int) -> None:
        """Take note of a number."""
        boots = self._seen.setdefault(source, {})
        if number <= boots.get(boot, 0):
            return
        if boot not in boots and len(boots) >= _BOOTS_A_SOURCE:
            del boots[next(iter(boots))]
        boots[boot] = number
        self._is_saved = False

    def highest(self, source: bytes, boot: int) -> int:
        """Return the highest number seen; 0 when none was."""
        return self._seen.get(source, {}).get(boot, 0)

    def save(self) -> None:
        """Write what is new to disk; a failure is logged and tried again next time."""
        if self._is_saved:
            return
        rows = [[source, boot, number] for source, boots in self._seen.items() for boot, number in boots.items()]
        try:
            write_whole(self._file, rows)
        except OSError as error:
            _log.warning("The numbers seen cannot be written", file=self._file, error=error)
        else:
            self._is_saved = True
