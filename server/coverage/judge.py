"""Whether a host is protected: a decision with its reason; pure.

A host is covered while one of its sets has a good backup that is not older than it may be. Else a waiver in force, else
the time that a new host has, keeps it from being unprotected. Watchkeep's own sets (`watchkeep-…`) save Watchkeep,
not the host they lie on: they count only where the host names them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from server.coverage.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.coverage.model import HostFacts, SetFacts, Waived

OWN_SETS: Final = "watchkeep-"
"""What the names of sets begin with that hold Watchkeep's own data, keys and secrets (`watchkeep up` makes two)."""
GRACE: Final = timedelta(days=1)
"""How much later than its schedule says a set's backup may be; and what a host without a set has at first."""
UNSCHEDULED: Final = timedelta(days=8)
"""How old the newest backup of a set may be that nobody gave a schedule."""


def judge_host(host: HostFacts, waivers: Sequence[Waived], now: datetime) -> Verdict:
    """Judge one host; `waivers` are those that name it."""
    best, left = newest_left(host.within, host.sets, now)
    by, good_at = (None, None) if best is None else (best.title, best.good_at)
    if best is not None and left >= timedelta(0):
        return Verdict(host=host.name, state="covered", reason=f"saved by {by}", by=by, good_at=good_at)
    waivers = [each for each in waivers if not each.things]
    longest = in_force(waivers, now)
    if longest is not None:
        reason = waived_words(longest)
        return Verdict(host=host.name, state="waived", reason=reason, by=by, good_at=good_at, waiver=longest)
    if best is None:
        left = host.known_since + (host.within or GRACE) - now
        if left > timedelta(0):
            reason = f"new; it has to be backed up before {_at(now + left)}"
            return Verdict(host=host.name, state="new", reason=reason)
    return Verdict(
        host=host.name,
        state="unprotected",
        reason=why_not(host.within, best, host.sets, waivers, nothing="no backup set saves it"),
        by=by,
        good_at=good_at,
        unprotected_seconds=max(1.0, -left.total_seconds()),
    )


def newest_left(within: timedelta | None, sets: Sequence[SetFacts], now: datetime) -> tuple[SetFacts | None, timedelta]:
    """Return the set whose backup stays new enough for longest, and for how long; negative: it is too old."""
    saved = [(each, each.good_at + _bound(within, each) - now) for each in sets if each.good_at is not None]
    return max(saved, key=lambda pair: pair[1], default=(None, timedelta(0)))


def in_force(waivers: Sequence[Waived], now: datetime) -> Waived | None:
    """Return the waiver that counts for longest; None when each is over."""
    return max((each for each in waivers if each.ends_at > now), key=lambda each: each.ends_at, default=None)


def waived_words(waiver: Waived) -> str:
    """Say until when, by what and why something is waived."""
    return f"waived until {last_day(waiver)} by {waiver.name}: {waiver.reason}"


def last_day(waiver: Waived) -> str:
    """Return the last day a waiver counts, as it was written."""
    return f"{waiver.ends_at - timedelta(days=1):%Y-%m-%d}"


def why_not(
    within: timedelta | None,
    best: SetFacts | None,
    sets: Sequence[SetFacts],
    waivers: Sequence[Waived],
    *,
    nothing: str,
) -> str:
    """Say why `sets`, the best of them `best`, do not protect; `nothing` where there are none."""
    if best is not None and best.good_at is not None:
        text = f"the last good backup, {best.title} of {_at(best.good_at)}, may be {_words(_bound(within, best))} old"
    elif sets:
        text = f"no good backup of {', '.join(each.title for each in sets[:3])} is known"
    else:
        text = nothing
    over = max(waivers, key=lambda each: each.ends_at, default=None)
    return text if over is None else f"{text}; the waiver {over.name} ended with {last_day(over)}"


def _bound(within: timedelta | None, each: SetFacts) -> timedelta:
    """Return how old a set's newest good backup may be."""
    if within is not None:
        return within
    return UNSCHEDULED if each.period is None else each.period + GRACE


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
