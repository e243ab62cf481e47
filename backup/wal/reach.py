"""What of a set's WAL is archived: from where to where, and which segments are missing in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.wal.archive import WalArchive
from backup.wal.names import number_of, segment_at, timeline_of
from backup.wal.recovery import KIND, base_of

if TYPE_CHECKING:
    from datetime import datetime

    from backup.station.station import Station

_MOST_MISSING: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The archived WAL of one cluster. since, until: when its first and last segment were written (aware UTC)."""

    system_identifier: int
    first: str
    last: str
    segments: int
    size_bytes: int
    since: datetime
    until: datetime
    missing: tuple[str, ...]


def reaches_of(station: Station) -> list[Reach]:
    """Return the reach of each cluster the set has base backups of, oldest first; none without archived segments.

    At most 100 missing segments are named of each.
    """
    sizes = {
        (base := base_of(point.manifest)).system_identifier: base.segment_bytes
        for point in station.catalogue().points
        if point.manifest.source == KIND
    }
    found = []
    for system, segment_bytes in sizes.items():
        objects = WalArchive(station.target, station.place, station.ring, system).objects()
        segments = {number_of(each.wal, segment_bytes): each for each in objects if each.is_segment}
        if not segments:
            continue
        first, last = segments[min(segments)], segments[max(segments)]
        missing = [
            segment_at(number * segment_bytes, timeline_of(last.wal), segment_bytes)
            for number in range(min(segments), max(segments))
            if number not in segments
        ]
        found.append(
            Reach(
                system_identifier=system,
                first=first.wal,
                last=last.wal,
                segments=len(segments),
                size_bytes=sum(each.size_bytes for each in objects),
                since=first.at,
                until=last.at,
                missing=tuple(missing[:_MOST_MISSING]),
            )
        )
    return found
