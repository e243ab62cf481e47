"""What duplicity tells while it works: the records of its --log-fd."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is. share: 0 to 1, duplicity's guess; None where it has none (yet)."""

    phase: str
    stored_bytes: int = 0
    share: float | None = None
    eta_seconds: int | None = None
    bytes_per_second: float | None = None
