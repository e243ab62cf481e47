"""Records whose dictionary has not come yet: kept for a while, in memory and unacknowledged, then given up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.intake.dictionaries import Dictionaries
    from server.intake.ledger import Life
    from server.intake.screening import Admitted, Arrival

WAIT_SECONDS: Final = 60.0
LONGEST_STEP_SECONDS: Final = 2.0
"""What counts at most between two looks: while the database is away nothing comes in that could end a wait."""
MAX_WAITING: Final = 10_000
MAX_WAITING_BYTES: Final = 64 << 20


class WaitingRoom:
    """Holds admitted records by life until their dictionary version is known.

    A source sends a life's dictionary before its data, so what waits longer than a minute waits for a record that was
    dropped: it goes to quarantine, counted, and so neither blocks its source nor is forgotten silently. Only time
    counts in which the dictionary could have come: not while the store stands still or live records queue.
    """

    def __init__(self) -> None:
        self._waiting: dict[Life, dict[int, tuple[float, Admitted]]] = {}
        self._count = 0
        self._held_bytes = 0
        self._passed_seconds = 0.0
        self._looked_at: float | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, records: Sequence[Admitted]) -> None:
        """Take records in; one that is waiting already stays as it is."""
        for admitted in records:
            waiting = self._waiting.setdefault(admitted.life, {})
            number = admitted.arrival.header.number
            if number not in waiting:
                # A copy: what it was cut from, a whole frame, shall not wait with it.
                record = memoryview(bytes(admitted.arrival.record))
                kept = replace(admitted, arrival=replace(admitted.arrival, record=record))
                self._count += 1
                self._held_bytes += len(record)
                waiting[number] = (self._passed_seconds, kept)

    def take_ready(self, dictionaries: Dictionaries) -> list[Arrival]:
        """Return, and forget, the records whose dictionary is known now, each life's in their order."""
        return self._take(lambda _, admitted: _is_ready(admitted, dictionaries))

    def take_expired(self, dictionaries: Dictionaries, now: float, *, is_behind: bool) -> list[Arrival]:
        """Return, and forget, the records that have waited too long; all of them when they are too many or too large.

        Never one whose dictionary is known now. `now`: monotonic seconds; `is_behind`: live records queue.
        """
        if self._looked_at is not None and not is_behind:
            self._passed_seconds += min(now - self._looked_at, LONGEST_STEP_SECONDS)
        self._looked_at = now
        is_full = self._count > MAX_WAITING or self._held_bytes > MAX_WAITING_BYTES
        since = self._passed_seconds - (0 if is_full else WAIT_SECONDS)
        return self._take(lambda came, admitted: came <= since and not _is_ready(admitted, dictionaries))

    def _take(self, is_due: Callable[[float, Admitted], bool]) -> list[Arrival]:
        taken: list[Arrival] = []
        for life, waiting in list(self._waiting.items()):
            for number in sorted(waiting):
                if is_due(*waiting[number]):
                    taken.append(waiting.pop(number)[1].arrival)
                    self._count -= 1
                    self._held_bytes -= len(taken[-1].record)
            if not waiting:
                del self._waiting[life]
        return taken


def _is_ready(admitted: Admitted, dictionaries: Dictionaries) -> bool:
    return admitted.arrival.header.dictionary <= dictionaries.lookup(admitted.life).version
