"""What mariadb-backup says at work: how long it held its locks (BACKUP STAGE) or waits for one, and its complaints.

It decides nothing but when to give up waiting: whether a copy is good, the exit code tells. Of a damaged page it prints
the bytes; whose rows those are is nobody's business here, so only lines of its own form are kept.
"""

from __future__ import annotations

import re
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE: Final = re.compile(
    rb"\[\d\d\] (?:FATAL ERROR: )?\d{4}-\d\d-\d\d +[\d:]{7,8} (.*)|\d +[\d:]{7,8} \d+ (\[ERROR\] .*)"
)
_ASKING: Final = re.compile(
    rb"Start(?:ing|ed) BACKUP STAGE (START|FLUSH|BLOCK_DDL|BLOCK_COMMIT)|Acquiring BACKUP LOCKS"
)
_ENDING: Final = b"BACKUP STAGE END"
# Said while it waits, too.
_OF_OTHER_THREADS: Final = (b"DDL tracking", b"log scanned", b"Retrying read of log", b"Connecting to MariaDB server")
_COMPLAINT: Final = re.compile(rb"error|denied|fail|cannot|can't|unable|corrupt", re.IGNORECASE)
_MOST_COMPLAINTS: Final = 4
_LONGEST_LINE: Final = 4096
_LONGEST_TOLD: Final = 240


class Words:
    """Hears mariadb-backup; the times are good to some milliseconds. `wait_seconds`: the longest for any lock.

    In BLOCK_DDL tables are neither made nor altered, and those without transactions not written; in BLOCK_COMMIT nobody
    commits. Both end with END; older versions know one lock for all.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._rest = b""
        self._reached: dict[str, float] = {}
        self._asked: tuple[str, float] | None = None
        self._complaints: deque[str] = deque(maxlen=_MOST_COMPLAINTS)

    def hear(self, piece: bytes) -> None:
        """Take what it says as it says it. Raises SourceFailed when it has waited too long for a stage."""
        now = time.monotonic()
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        for line in lines:
            found = _LINE.search(line)
            if found is not None:
                self._take(found[1] or found[2], now)
        if self._asked is not None and now - self._asked[1] > self._wait_seconds:
            raise SourceFailed(
                f"the server did not give BACKUP STAGE {self._asked[0]} within {self._wait_seconds:g} s: a statement or"
                " LOCK TABLES holds what it waits for; save at a quieter time, or wait longer (mariadb_base.lock_wait)"
            )

    def _take(self, said: bytes, now: float) -> None:
        if _COMPLAINT.search(said):
            self._complain(said[:_LONGEST_TOLD].decode("utf-8", "replace").strip())
        if _ENDING in said:
            self._reached.setdefault("END", now)
        elif "END" in self._reached:
            self._reached.setdefault("ended", now)
        found = _ASKING.search(said)
        if found is not None:
            stage = "START" if found[1] is None else found[1].decode()
            self._reached.setdefault(stage, now)
            self._asked = self._asked or (stage, now)
        elif not any(words in said for words in _OF_OTHER_THREADS):
            self._asked = None

    def _complain(self, text: str) -> None:
        printable = "".join(letter if letter.isprintable() else "?" for letter in text)
        if printable not in self._complaints:
            self._complaints.append(printable)

    @property
    def complaints(self) -> str:
        """The last things it complained of."""
        return "; ".join(self._complaints) or "without a complaint"

    def blocked(self) -> Mapping[str, float | None]:
        """Return how many seconds others were blocked, waiting for the lock included; None when that was not heard."""
        ended = self._reached.get("ended", self._reached.get("END"))
        changes = self._reached.get("BLOCK_DDL", self._reached.get("START"))
        commits = self._reached.get("BLOCK_COMMIT", changes)
        return {
            name: None if began is None or ended is None else round(ended - began, 3)
            for name, began in (("changes_of_tables_blocked_seconds", changes), ("commits_blocked_seconds", commits))
        }
