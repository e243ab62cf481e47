"""Which numbers end with a group, and in which class. Pure.

A record ends *stored in time*, *late*, *replayed* or *refused* here, *lost* when its source says so. *Late*: at least
one of its values was not newer than what triggers had evaluated, so it was stored and raised nothing. *Replayed*: not
late, and stored more than a minute after its newest sample was measured, from a backlog. By the instants it carries:
the records of a source whose clock is a minute behind are all replayed ones, and the health page shows the skew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.model.gaps import runs_of
from core.model.ranges import RangeSet
from server.intake.screening import AHEAD_US
from server.store.received import ReceivedDelta

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from server.intake.ledger import Life
    from server.intake.screening import Admitted, Refused

REPLAYED_US: Final = 60 * 1_000_000

Name = tuple[int, int, int]
"""(source id, boot, number)."""


@dataclass(slots=True)
class _Stored:
    records: list[tuple[int, int, int]] = field(default_factory=list)
    late: int = 0
    replayed: int = 0


def stored_numbers(stored: Iterable[Admitted], late: Collection[Name], now_us: int) -> list[ReceivedDelta]:
    """Return, per life, what is stored at `now_us`; `late` names the records with late values."""
    lives: dict[Life, _Stored] = {}
    for admitted in stored:
        header, life = admitted.arrival.header, admitted.life
        ended = lives.get(life)
        if ended is None:
            ended = lives[life] = _Stored()
        # Records that carry no samples are not screened by their instants.
        begin_us = min(max(header.base_at, 0), now_us + AHEAD_US)
        end_us = min(begin_us + header.span, now_us + AHEAD_US)
        ended.records.append((header.number, begin_us, end_us))
        if (*life, header.number) in late:
            ended.late += 1
        elif end_us < now_us - REPLAYED_US:
            ended.replayed += 1
    found = []
    for (source_id, boot), ended in lives.items():
        runs = runs_of(ended.records)
        found.append(
            ReceivedDelta(
                source_id=source_id,
                boot=boot,
                ranges=RangeSet((run.first, run.last) for run in runs),
                runs=tuple(runs),
                late=ended.late,
                replayed=ended.replayed,
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
            refused.setdefault((refusal.source.id, header.boot), RangeSet()).add(header.number, header.number)
    return [ReceivedDelta(source_id=source, boot=boot, refused=ranges) for (source, boot), ranges in refused.items()]
