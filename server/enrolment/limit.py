"""How often one address may do something; pure, in memory, bounded."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from typing import Final

_MAX_KEPT: Final = 10_000


class AddressLimit:
    """Invariant: within any window an address (of IPv6 a /64) gets at most `most` times through.

    Memory holds at most 10,000 addresses; the longest unused are forgotten.
    """

    def __init__(self, most: int, window_seconds: float) -> None:
        self._most = most
        self._window_seconds = window_seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, address: str, now: float) -> float:
        """Count and return 0, or return the seconds to wait (> 0) and count nothing. `now` is monotonic."""
        times = self._times.setdefault(_network(address), deque())
        self._times.move_to_end(_network(address))
        while len(self._times) > _MAX_KEPT:
            self._times.popitem(last=False)
        while times and times[0] <= now - self._window_seconds:
            times.popleft()
        if len(times) >= self._most:
            return times[0] + self._window_seconds - now
        times.append(now)
        return 0.0


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
