"""Which archived WAL a base backup needs to come to a moment, and whether all of it is there: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backup.errors import ObjectMissing
from backup.wal.names import number_of, read_lsn, segment_at, timeline_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from backup.wal.names import WalObject

# Recovery stops at the first commit after the moment: a server at work makes one soon, an idle one writes nothing.
_BEYOND: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """How far to go: to an instant (aware), to a position, or, with neither, as far as the WAL reaches."""

    at: datetime | None = None
    lsn: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a base backup's record says of its place in the WAL."""

    system_identifier: int
    timeline: int
    segment_bytes: int
    start_lsn: int
    stop_lsn: int

    @property
    def first(self) -> str:
        """The first segment it needs."""
        return segment_at(self.start_lsn, self.timeline, self.segment_bytes)

    def number(self, each: WalObject) -> int:
        """Return a segment's number."""
        return number_of(each.wal, self.segment_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to fetch, in order. reaches: when the last segment there is was written; None without any.

    is_target_needed: whether recovery has to be told where to stop. Where all the WAL there is was written before the
    moment it has not, and would refuse to come up when told, as it cannot know that nothing is missing.
    """

    objects: tuple[WalObject, ...]
    reaches: datetime | None
    is_target_needed: bool


def read_base(consistency: Mapping[str, Any]) -> Base:
    """Return the place a base backup's record names. Raises ValueError, KeyError, TypeError."""
    return Base(
        system_identifier=int(consistency["system_identifier"]),
        timeline=int(consistency["timeline"]),
        segment_bytes=int(consistency["wal_segment_bytes"]),
        start_lsn=read_lsn(consistency["start_lsn"]),
        stop_lsn=read_lsn(consistency["stop_lsn"]),
    )


def choose(base: Base, objects: Sequence[WalObject], until: Until) -> Choice:
    """Choose from the archive's files, which are ordered by name.

    Raises ObjectMissing when a segment on the way is not there, naming it and the moment that can still be reached.
    """
    start = base.start_lsn // base.segment_bytes
    segments = [each for each in objects if each.is_segment and _is_later(base, each, start)]
    segments.sort(key=lambda each: (base.number(each), each.wal))
    histories = [each for each in objects if each.wal.endswith(".history")]
    wanted = _cut(base, segments, until)
    _demand_whole(base, wanted, start)
    reaches = max((each.at for each in segments), default=None)
    if until.lsn is not None:
        is_needed = True
        _demand_position(base, wanted, until.lsn)
    else:
        is_needed = until.at is not None and reaches is not None and reaches > until.at
    return Choice(objects=(*histories, *wanted), reaches=reaches, is_target_needed=is_needed)


def _is_later(base: Base, each: WalObject, start: int) -> bool:
    return timeline_of(each.wal) >= base.timeline and base.number(each) >= start


def _cut(base: Base, segments: Sequence[WalObject], until: Until) -> list[WalObject]:
    if until.lsn is not None:
        return [each for each in segments if base.number(each) <= until.lsn // base.segment_bytes]
    if until.at is None:
        return list(segments)
    wanted: list[WalObject] = []
    for each in segments:
        wanted.append(each)
        if each.at > until.at + _BEYOND:
            break
    return wanted


def _demand_whole(base: Base, segments: Sequence[WalObject], start: int) -> None:
    expected = start
    for index, each in enumerate(segments):
        number = base.number(each)
        if number > expected:
            missing = segment_at(expected * base.segment_bytes, timeline_of(each.wal), base.segment_bytes)
            before = f"--at {segments[index - 1].at.isoformat()} or earlier" if index else "the base backup alone"
            raise ObjectMissing(f"the WAL segment {missing} is missing in the archive; what can be reached: {before}")
        expected = number + 1


def _demand_position(base: Base, segments: Sequence[WalObject], lsn: int) -> None:
    last = base.number(segments[-1]) if segments else -1
    if last < lsn // base.segment_bytes:
        raise ObjectMissing("the archived WAL does not reach that position")
