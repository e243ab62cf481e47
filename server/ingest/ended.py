"""Which numbers end with a group, and in which class. Pure.

A record ends *stored in time*, *late*, *replayed* or *refused* here, *lost* when its source says so. *Late*: at least
one of its values was not newer than what triggers had evaluated, so it was stored and raised nothing. *Replayed*: not
late, and stored more than a minute after its newest sample was measured, from a backlog. By the instants it carries:
the records of a source whose clock is a minute behind are all replayed ones, and the health page shows the skew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.model.gaps import runs_of
from core.model.ranges import RangeSet
from server.intake.screening import AHEAD_US
from server.store.received import ReceivedDelta

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from server.intake.ledger import Life
    from server.intake.screening import Admitted, Refused

REPLAYED_US: Final = 60 * 1_000_000

Name = tuple[int, int, int]
"""(source id, boot, number)."""
Instants = tuple[int, int, int]
"""(number, first instant, last instant), the instants in µs."""


def records_of(stored: Iterable[Admitted], now_us: int) -> dict[Life, list[Instants]]:
    """Return, per life, the records that are stored at `now_us`, with their instants."""
    lives: dict[Life, list[Instants]] = {}
    for admitted in stored:
        header = admitted.arrival.header
        # Records that carry no samples are not screened by their instants.
        begin_us = min(max(header.base_at, 0), now_us + AHEAD_US)
        end_us = min(begin_us + header.span, now_us + AHEAD_US)
        lives.setdefault(admitted.life, []).append((header.number, begin_us, end_us))
    return lives


def stored_numbers(
    lives: Mapping[Life, Sequence[Instants]], late: Collection[Name], now_us: int
) -> list[ReceivedDelta]:
    """Say in which class each record is stored at `now_us`; `late` names those with late values."""
    found = []
    for life, records in lives.items():
        runs = runs_of(records)
        old = [number for number, _, end_us in records if end_us < now_us - REPLAYED_US]
        late_here = sum((*life, number) in late for number, _, _ in records) if late else 0
        late_and_old = sum((*life, number) in late for number in old) if late else 0
        found.append(
            ReceivedDelta(
                source_id=life[0],
                boot=life[1],
                ranges=RangeSet((run.first, run.last) for run in runs),
                runs=tuple(runs),
                late=late_here,
                replayed=len(old) - late_and_old,
            )
        )
    return found


def refused_numbers(poison: Iterable[Admitted], refusals: Iterable[Refused]) -> list[ReceivedDelta]:
    """Return, per life, what is refused for ever; a refusal without a source is kept no account of."""
    refused: dict[Life, RangeSet] = {}
    for admitted in poison:
        number = admitted.arrival.header.number
        refused.setdefault(admitted.life, RangeSet()).add(number, number)
    for refusal in refusals:
        if refusal.source is not None:
            header = refusal.arrival.header
            first, last = refusal.first or header.number, refusal.last or header.number
            refused.setdefault((refusal.source.id, header.boot), RangeSet()).add(first, last)
    return [ReceivedDelta(source_id=source, boot=boot, refused=ranges) for (source, boot), ranges in refused.items()]
