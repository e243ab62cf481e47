"""Counts and reports what a collector refuses; somebody who tries a million times fills no log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.runtime.logging import Log
from core.security.keys import key_text
from core.wire.link import LinkRefusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters

_log = Log("link")
_QUIET_SECONDS = 10.0
_REMEMBERED = 1024


class Refusals:
    """Every refusal is counted as link.refused.<kind>; one a kind, key and ten seconds is logged and reported."""

    def __init__(self, clock: Clock, counters: Counters, on_refusal: Callable[[LinkRefusal], None] | None) -> None:
        self._clock = clock
        self._counters = counters
        self._on_refusal = on_refusal
        self._reported: dict[tuple[str, bytes | None], float] = {}

    def add(self, kind: str, key: bytes | None, detail: str, amount: int = 1) -> None:
        """Count `amount` refusals of a kind, and report them unless the same was reported just now."""
        self._counters.add(f"link.refused.{kind}", amount)
        now = self._clock.monotonic()
        last = self._reported.get((kind, key))
        if last is not None and now - last < _QUIET_SECONDS:
            return
        if len(self._reported) >= _REMEMBERED:
            self._reported.clear()
        self._reported[kind, key] = now
        _log.warning("Something was refused", kind=kind, key=key_text(key) if key else "unknown", detail=detail)
        if self._on_refusal is not None:
            self._on_refusal(LinkRefusal(kind=kind, key=key, detail=detail))
