"""Counts what the API refused, for the health page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.runtime.clock import Clock

_MAX_DETAIL_LETTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalCount:
    """How often something of a kind was refused, and the latest one; `last_at` is None where nobody said when."""

    kind: str
    count: int
    last_at: datetime | None
    last_detail: str


class RefusalLedger:
    """Counts refusals by kind since the start of the process; kinds are constants of the code, so it stays small."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[str, RefusalCount] = {}

    def count(self, kind: str, detail: str) -> None:
        """Count one refusal; of `detail` only the latest is kept, cut to 200 letters."""
        before = self._counts.get(kind)
        self._counts[kind] = RefusalCount(
            kind=kind,
            count=1 if before is None else before.count + 1,
            last_at=datetime.fromtimestamp(self._clock.now_us() / 1_000_000, tz=UTC),
            last_detail=detail[:_MAX_DETAIL_LETTERS],
        )

    def counts(self) -> list[RefusalCount]:
        """Return the counts, by kind."""
        return [self._counts[kind] for kind in sorted(self._counts)]
