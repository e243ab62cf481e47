"""Notices a key that is alive at two proxies at once, and decides which of its links is shut out; pure.

A proxy refuses the second link of a key by itself; of another proxy's links it knows nothing. An agent that fails over
is never alive at two proxies for long: the link it left is heard no more. A copied machine is. Which of the two is the
copy nobody can tell, so the link that came later is shut out where it is, as long as the other one lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ALIVE_SECONDS: Final = 7.0
"""A link heard so lately is alive; heartbeats come every two seconds and reports of them every two."""
PROVEN_SECONDS: Final = 15.0
"""A failover is over by then."""
LIFTED_SECONDS: Final = 60.0
"""The elder link may be lost and come back within this without the younger one's taking its place."""


@dataclass(slots=True, kw_only=True)
class _Way:
    """A key's link at one proxy. Seconds are the server's monotonic ones, `heard_at` is the proxy's clock in µs."""

    session: int
    since_seconds: float
    heard_at: int
    alive_seconds: float

    def is_alive(self, now: float) -> bool:
        return now - self.alive_seconds <= ALIVE_SECONDS


class CloneWatch:
    """The links of every key as proxies report them, and which of them are barred."""

    def __init__(self) -> None:
        self._ways: dict[bytes, dict[bytes, _Way]] = {}
        self._bars: dict[tuple[bytes, bytes], bytes] = {}  # (proxy, key) → the proxy where the key may stay

    def note(self, key: bytes, proxy: bytes, session: int, heard_at: int, now: float) -> None:
        """Take note of a link's row in a proxy's report."""
        ways = self._ways.setdefault(key, {})
        way = ways.get(proxy)
        if way is None or way.session != session:
            ways[proxy] = _Way(session=session, since_seconds=now, heard_at=heard_at, alive_seconds=now)
        elif heard_at > way.heard_at:
            way.heard_at = heard_at
            way.alive_seconds = now

    def judge(self, now: float) -> list[tuple[bytes, bytes]]:
        """Bar what has been proven and lift what is over; return the (proxy, key) pairs barred just now."""
        for (proxy, key), stays in list(self._bars.items()):
            elder = self._ways.get(key, {}).get(stays)
            if elder is None or now - elder.alive_seconds > LIFTED_SECONDS:
                del self._bars[proxy, key]
        found = []
        for key, ways in list(self._ways.items()):
            for proxy in [proxy for proxy, way in ways.items() if now - way.alive_seconds > LIFTED_SECONDS]:
                del ways[proxy]
            if len(ways) > 1:
                found += self._bar(key, ways, now)
            elif not ways:
                del self._ways[key]
        return found

    def barred(self, proxy: bytes) -> frozenset[bytes]:
        """Return the keys that are shut out at a proxy as of the last judgement."""
        return frozenset(key for at, key in self._bars if at == proxy)

    def is_barred(self, key: bytes) -> bool:
        """Tell whether a key is shut out anywhere: it is alive in two places."""
        return any(barred == key for _, barred in self._bars)

    def _bar(self, key: bytes, ways: dict[bytes, _Way], now: float) -> list[tuple[bytes, bytes]]:
        proven = [
            (way.since_seconds, proxy)
            for proxy, way in ways.items()
            if way.is_alive(now) and now - way.since_seconds > PROVEN_SECONDS
        ]
        if len(proven) < 2:
            return []
        (_, stays), *younger = sorted(proven)
        new = [(proxy, key) for _, proxy in younger if (proxy, key) not in self._bars]
        self._bars.update(dict.fromkeys(new, stays))
        return new
