"""Records whose dictionary has not come yet: kept for a while, in memory and unacknowledged, then given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.intake.dictionaries import Dictionaries
    from server.intake.ledger import Life
    from server.intake.screening import Admitted, Arrival

WAIT_US: Final = 60 * 1_000_000
MAX_WAITING: Final = 10_000


class WaitingRoom:
    """Holds admitted records by life until their dictionary version is known.

    A source sends a life's dictionary before its data, so what waits longer than a minute waits for a record that was
    dropped: it goes to quarantine, counted, and so neither blocks its source nor is forgotten silently.
    """

    def __init__(self) -> None:
        self._waiting: dict[Life, dict[int, tuple[int, Admitted]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, records: Sequence[Admitted], now_us: int) -> None:
        """Take records in; one that is waiting already stays as it is."""
        for admitted in records:
            waiting = self._waiting.setdefault(admitted.life, {})
            number = admitted.arrival.header.number
            if number not in waiting:
                self._count += 1
                waiting[number] = (now_us, admitted)

    def take_ready(self, dictionaries: Dictionaries) -> list[Arrival]:
        """Return, and forget, the records whose dictionary is known now, each life's in their order."""
        return self._take(
            lambda _, admitted: admitted.arrival.header.dictionary <= dictionaries.lookup(admitted.life).version
        )

    def take_expired(self, now_us: int) -> list[Arrival]:
        """Return, and forget, the records that have waited too long; all of them when there are too many."""
        wait_us = 0 if self._count > MAX_WAITING else WAIT_US
        return self._take(lambda since_us, _: now_us - since_us > wait_us)

    def _take(self, is_due: Callable[[int, Admitted], bool]) -> list[Arrival]:
        taken: list[Arrival] = []
        for life, waiting in list(self._waiting.items()):
            for number in sorted(waiting):
                if is_due(*waiting[number]):
                    taken.append(waiting.pop(number)[1].arrival)
                    self._count -= 1
            if not waiting:
                del self._waiting[life]
        return taken
