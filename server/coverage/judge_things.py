"""Whether a thing of a host is protected: by which set, waived until when, or why not; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.coverage.judge import in_force, newest_left, waived_words, why_not
from server.coverage.model import ThingVerdict
from server.coverage.thing import is_at_or_below

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.coverage.model import ThingsFacts, Waived
    from server.coverage.thing import Thing


def judge_things(host: ThingsFacts, waivers: Sequence[Waived], now: datetime) -> list[ThingVerdict]:
    """Judge each thing of a host; `waivers` are those that name the host. What only holds backups is no thing."""
    keeps = {folder for each in host.sets if each.covers is not None for folder in each.covers.keeps}
    return [
        _judge(host, thing, [each for each in waivers if each.waives(thing)], now)
        for thing in host.things
        if thing.kind != "filesystem" or not any(is_at_or_below(thing.name, folder) for folder in keeps)
    ]


def _judge(host: ThingsFacts, thing: Thing, waivers: Sequence[Waived], now: datetime) -> ThingVerdict:
    saving = [
        each
        for each in host.sets
        if each.covers is not None and each.covers.has(thing, is_of_this_host=each.host == host.host)
    ]
    best, left = newest_left(host.within, saving, now)
    by, good_at = (None, None) if best is None else (best.title, best.good_at)
    if best is not None and left >= timedelta(0):
        return ThingVerdict(thing=thing, state="covered", reason=f"saved by {by}", by=by, good_at=good_at)
    longest = in_force(waivers, now)
    if longest is not None:
        reason = waived_words(longest)
        return ThingVerdict(thing=thing, state="waived", reason=reason, by=by, good_at=good_at, waiver=longest)
    silent = next((each for each in host.sets if each.covers is None and each.good_at is not None), None)
    if best is None and silent is not None:
        reason = f"{silent.title} does not say yet what it saves: its next run does, by a bkp of this version"
        return ThingVerdict(thing=thing, state="unknown", reason=reason, by=silent.title, good_at=silent.good_at)
    if best is None and thing not in host.long_known:
        return ThingVerdict(thing=thing, state="new", reason="new; it has to be backed up within a day")
    reason = why_not(host.within, best, saving, waivers, nothing="it is in no backup")
    return ThingVerdict(thing=thing, state="unprotected", reason=reason, by=by, good_at=good_at)
