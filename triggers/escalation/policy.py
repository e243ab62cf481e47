"""Decides from a problem, the steps of an escalation and what was told already who is told now, and when to look again.

The policy holds nothing and does nothing: the same facts always give the same answer, so any server may go on where
another one stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from triggers.escalation.hours import Hours

WAITING_RECHECK: Final = timedelta(minutes=1)
"""How often at most it is asked whether a notice that waits for its receiver has arrived, before it is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Whom to tell `after` so long, by which media (None: all), again `every` so long, `times` in all (None: on)."""

    after: timedelta
    tell: tuple[str, ...]
    media: tuple[str, ...] | None = None
    every: timedelta | None = None
    times: int | None = None
    unless_acknowledged: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """By what, when and of which severities somebody may be told; no hours: always."""

    media: tuple[str, ...]
    severities: frozenset[str]
    hours: Hours | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A problem as it is now. Delays count from `known_at`, when we knew of it."""

    severity: str
    known_at: datetime
    is_open: bool = True
    is_acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one address was told by one step so far; `is_waiting` when the last notice is still on its way."""

    step: int
    receiver: str
    medium: str
    count: int
    last_at: datetime
    is_waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One notice to come: of which step (from 0), the how-manieth of it (from 0), to whom, at which instant and why."""

    step: int
    repetition: int
    receiver: str
    medium: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is due now, and when there will be something to decide again (None: never, as things are)."""

    due: tuple[Telling, ...] = ()
    look_again_at: datetime | None = None
    coming: tuple[Telling, ...] = ()


def judge(
    situation: Situation,
    steps: Sequence[Step],
    receivers: Mapping[str, Reachable],
    told: Iterable[Told],
    now: datetime,
) -> Judgement:
    """Judge one problem by one escalation at `now`.

    Invariants: each (step, receiver, medium) is due at most once in a judgement; a step that was missed while nobody
    looked is due once, not as often as it would have been; nothing is due for a problem that is over.
    """
    tellings = sorted(_next(situation, steps, receivers, told, now), key=lambda telling: (telling.at, telling.step))
    due = tuple(telling for telling in tellings if telling.at <= now)
    coming = tuple(telling for telling in tellings if telling.at > now)
    # Those told now may be due again later; the repetition is counted from the notice, so ask once it is there.
    again = [now + every for telling in due if (every := steps[telling.step].every) is not None]
    instants = [telling.at for telling in coming] + again
    return Judgement(due=due, look_again_at=min(instants, default=None), coming=coming)


def foresee(
    situation: Situation, steps: Sequence[Step], receivers: Mapping[str, Reachable]
) -> list[tuple[Telling, timedelta | None]]:
    """List the first telling of every step and address if nobody acts, with the interval at which it would repeat."""
    tellings = _next(situation, steps, receivers, (), situation.known_at)
    return [
        (telling, None if steps[telling.step].times == 1 else steps[telling.step].every)
        for telling in sorted(tellings, key=lambda telling: (telling.at, telling.step))
    ]


def _next(
    situation: Situation,
    steps: Sequence[Step],
    receivers: Mapping[str, Reachable],
    told: Iterable[Told],
    now: datetime,
) -> Iterator[Telling]:
    if not situation.is_open:
        return
    before = {(each.step, each.receiver, each.medium): each for each in told}
    for number, step in enumerate(steps):
        if step.unless_acknowledged and situation.is_acknowledged:
            continue
        for name in dict.fromkeys(step.tell):
            receiver = receivers.get(name)
            if receiver is None or situation.severity not in receiver.severities:
                continue
            for medium in receiver.media:
                if step.media is not None and medium not in step.media:
                    continue
                turn = _turn(situation, number, step, before.get((number, name, medium)), now)
                if turn is not None:
                    at, repetition, reason = _within(receiver.hours, turn, now)
                    yield Telling(
                        step=number, repetition=repetition, receiver=name, medium=medium, at=at, reason=reason
                    )


class _Turn(NamedTuple):
    at: datetime
    repetition: int
    reason: str


def _turn(situation: Situation, number: int, step: Step, before: Told | None, now: datetime) -> _Turn | None:
    """Say when an address's turn at this step comes, whatever its hours; None when it never does."""
    if before is None:
        reason = f"step {number + 1}, {_say(step.after)} after the opening"
        return _Turn(situation.known_at + step.after, 0, reason)
    if step.every is None or (step.times is not None and before.count >= step.times):
        return None
    at, reason = before.last_at + step.every, f"step {number + 1}, again every {_say(step.every)}"
    if before.is_waiting:
        at, reason = max(at, now + min(WAITING_RECHECK, step.every)), f"{reason}; the notice before is still on its way"
    return _Turn(at, before.count, reason)


def _within(hours: Hours | None, turn: _Turn, now: datetime) -> _Turn:
    """Move a turn into the receiver's hours: what is due outside waits for their begin."""
    if hours is None:
        return turn
    # A missed one is due now, if now is within the hours: it is `now` that has to fit.
    wanted = max(turn.at, now)
    at = hours.next_instant(wanted)
    return (
        turn if at == wanted else turn._replace(at=at, reason=f"{turn.reason}; held until the receiver's hours begin")
    )


def _say(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
