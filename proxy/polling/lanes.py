"""How many devices are asked at once: those that answer, and apart from them those that did not."""

from __future__ import annotations

import asyncio
from typing import Final

_LIVING: Final = {"snmp": 100, "ssh": 24}
_SUSPECTS: Final = {"snmp": 25, "ssh": 8}  # with the living of SSH, as many as there are threads
LONGEST_PAUSE_SECONDS: Final = 60.0


class Lanes:
    """Slots by protocol. A device that does not answer waits in the suspects' lane, so it takes none of the living's.

    What a device can hold of the living's lane is one question, once, until its first timeout.
    """

    def __init__(self) -> None:
        self._living = {protocol: asyncio.Semaphore(count) for protocol, count in _LIVING.items()}
        self._suspects = {protocol: asyncio.Semaphore(count) for protocol, count in _SUSPECTS.items()}

    def living(self, protocol: str) -> asyncio.Semaphore:
        """Return the slots of devices that answered last."""
        return self._living[protocol]

    def suspects(self, protocol: str) -> asyncio.Semaphore:
        """Return the slots of devices that did not."""
        return self._suspects[protocol]


def pause_seconds(silences: int, interval_seconds: float) -> float:
    """Return how long a device that did not answer `silences` times in a row is left alone.

    Twice the interval, then twice as long each time, to a minute; never shorter than the interval.
    """
    doubled = interval_seconds * 2.0 ** min(silences, 10)
    return max(interval_seconds, min(doubled, LONGEST_PAUSE_SECONDS))
