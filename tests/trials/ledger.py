"""The ledger: what a source appended to its spool, a line for each record."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

ENTRY: Final = struct.Struct("<qqqq")
"""A line of the ledger: counter, boot, number, instant (µs)."""


class LedgerFile:
    """What was appended to the spool, a line each, written after the append returned.

    Killed in between, the ledger lacks the last record, so the next life leaves its counter out: a counter names one
    record for ever.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = os.fstat(self._file).st_size // ENTRY.size * ENTRY.size
        self.next_counter = 1
        self.last_instant = 0
        if size:
            last: tuple[int, int, int, int] = ENTRY.unpack(os.pread(self._file, ENTRY.size, size - ENTRY.size))
            self.next_counter, self.last_instant = last[0] + 2, last[3] + 1

    def note(self, counter: int, boot: int, number: int, instant: int) -> None:
        os.write(self._file, ENTRY.pack(counter, boot, number, instant))
