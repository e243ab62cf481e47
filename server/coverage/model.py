"""What coverage is judged by, of hosts and the things they hold, and the verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from server.inventory.key_pattern import fits

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime, timedelta

    from server.coverage.thing import Covers, Thing

State = Literal["covered", "waived", "new", "unprotected"]
ThingState = Literal["covered", "waived", "unknown", "new", "unprotected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFacts:
    """A set as its host reports it: as of when its last good backup is, every how long it is due, and what is in it.

    None: unknown.
    """

    host: str
    name: str
    good_at: datetime | None
    period: timedelta | None
    covers: Covers | None = None

    @property
    def title(self) -> str:
        """HOST/SET."""
        return f"{self.host}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """A host, since when it is known, what it asks for, and the sets that may save it."""

    name: str
    known_since: datetime
    within: timedelta | None
    sets: Sequence[SetFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """A waiver that names a host, in force or over; `ends_at` is the first instant it does not count any more.

    things: patterns of those it is for, as KIND:NAME; none: it is for the host and all it holds.
    """

    name: str
    ends_at: datetime
    reason: str
    things: tuple[str, ...] = ()

    def waives(self, thing: Thing) -> bool:
        """Whether it is for this thing."""
        return not self.things or any(fits(each, f"{thing.kind}:{thing.name}") for each in self.things)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingsFacts:
    """What a host has, what of it has been known for a day, and the sets that may save it."""

    host: str
    things: Sequence[Thing]
    long_known: Collection[Thing]
    within: timedelta | None
    sets: Sequence[SetFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingVerdict:
    """How a thing stands; as a host's, with `unknown`: a set saves the host and does not say what of it."""

    thing: Thing
    state: ThingState
    reason: str
    by: str | None = None
    good_at: datetime | None = None
    waiver: Waived | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a host stands. `by` is the set that saves it, or would if it were not too old; `reason` in words.

    unprotected_seconds: for how long it has been without what it has to have; 0 while it is not unprotected.
    things: what it holds, each judged by itself. unknown: database servers there that did not say what they hold.
    """

    host: str
    state: State
    reason: str
    by: str | None = None
    good_at: datetime | None = None
    waiver: Waived | None = None
    unprotected_seconds: float = 0.0
    things: tuple[ThingVerdict, ...] = ()
    unknown: tuple[str, ...] = ()
