"""What a trial found, as a row of the table that `python -m tests.trials` prints."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was injected, what is required, what was found; `faults` say what must not be, none when it passed."""

    trial: str
    injected: str
    required: str
    found: str
    faults: list[str] = field(default_factory=list)
