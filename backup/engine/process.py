"""duplicity's process: its own group, a bounded log, an end at the time limit or at a signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.engine.command import Call
    from backup.engine.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How duplicity ended: its exit code, its last words (bounded), its standard output (bounded)."""

    exit_code: int
    log: str
    output: str


def run_call(
    call: Call,
    *,
    time_limit_seconds: float,
    on_progress: Callable[[Progress], None] | None = None,
    output_limit_bytes: int = 1 << 20,
) -> Outcome:
    """Run duplicity to its end. Raises TimedOut, Cancelled; then every process of its group has ended.

    An exit code other than 0 is not an error here: `demand_success` turns it into one.
    """
    raise NotImplementedError


def demand_success(outcome: Outcome, doing: str) -> None:
    """Return when the exit code is 0. Raises KeyWrong, PassphraseWrong, TargetAway … or EngineFailed otherwise."""
    raise NotImplementedError
