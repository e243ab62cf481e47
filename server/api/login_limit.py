"""Decides whether a log-in may be tried now; pure, in memory, bounded."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass

_MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTerms:
    """How many tries that do not succeed are allowed within the window, by address and by user name."""

    tries_per_address: int = 10
    tries_per_user: int = 100
    window_seconds: float = 300.0


class LoginLimit:
    """Counts tries when they begin, so that many at once get no further than one after the other.

    Invariants: within any window an address has at most `tries_per_address` failed or running tries; a user has at
    most `tries_per_user` from addresses that never signed in as him, so that strangers cannot lock him out of an
    address he uses. Memory holds at most 10,000 of each; the longest unused are forgotten.
    """

    def __init__(self, terms: LoginTerms) -> None:
        self._terms = terms
        self._tries: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, address: str, user: str, now: float) -> float:
        """Count a try and return 0, or return the seconds to wait (> 0) and count nothing. `now` is monotonic."""
        keys = self._keys(address, user)
        wait = max(self._wait(key, limit, now) for key, limit in keys)
        if wait <= 0:
            for key, _ in keys:
                self._tries.setdefault(key, deque()).append(now)
                self._tries.move_to_end(key)
            while len(self._tries) > _MAX_KEPT:
                self._tries.popitem(last=False)
        return max(wait, 0.0)

    def withdraw(self, address: str, user: str, now: float) -> None:
        """Take back a try that began at `now` and was judged by nobody."""
        for key, _ in self._keys(address, user):
            tries = self._tries.get(key)
            if tries is not None and now in tries:
                tries.remove(now)

    def succeeded(self, address: str, user: str) -> None:
        """Forget the address's tries and remember that it signed in as the user."""
        self._tries.pop(("address", _network(address)), None)
        self._known[_network(address), user] = None
        self._known.move_to_end((_network(address), user))
        while len(self._known) > _MAX_KEPT:
            self._known.popitem(last=False)

    def _keys(self, address: str, user: str) -> list[tuple[tuple[str, str], int]]:
        keys = [(("address", _network(address)), self._terms.tries_per_address)]
        if (_network(address), user) not in self._known:
            keys.append((("user", user), self._terms.tries_per_user))
        return keys

    def _wait(self, key: tuple[str, str], limit: int, now: float) -> float:
        tries = self._tries.get(key)
        if tries is None:
            return 0.0
        while tries and tries[0] <= now - self._terms.window_seconds:
            tries.popleft()
        if len(tries) < limit:
            return 0.0
        return tries[0] + self._terms.window_seconds - now


def _network(address: str) -> str:
    """Return what one attacker surely owns: an IPv4 address, the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
