"""Which archived binary logs no restore point needs any more: what ended before the oldest one that stays was made."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backup.binlog.archive import BinlogArchive
from backup.binlog.choice import ends_of, read_start
from backup.binlog.names import whole_logs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from backup.binlog.choice import Start
    from backup.keys.ring import KeyRing
    from backup.model import Manifest, Place
    from backup.targets.contract import Target

_CLOCKS: Final = timedelta(hours=1)
"""Logs are of their server's clock, restore points of their host's: so much is kept beyond what they say."""


def needed_since(starts: Sequence[Start]) -> datetime:
    """Return when a log has to have ended, or later, to be kept for restore points that go on at these places."""
    return min(start.taken_at for start in starts) - _CLOCKS


def outdated_logs(
    target: Target, place: Place, ring: KeyRing, staying: Iterable[Manifest], settled_before: datetime
) -> Mapping[str, int]:
    """Return the files that go, by their names at the target with their bytes.

    staying: every manifest that stays, in doubt or not. settled_before: without any that has a place in a binary log
    only what ended before this goes, which has to be longer ago than a run may take. Raises what the target raises.
    """
    starts = [start for each in staying if (start := read_start(each.consistency)) is not None]
    before = needed_since(starts) if starts else settled_before
    archive = BinlogArchive(target, place, ring)
    found: dict[str, int] = {}
    for line in archive.lines():
        pieces = archive.pieces(line)
        ends = ends_of(whole_logs(line, list(pieces.values())))
        found |= {
            name: piece.size_bytes
            for name, piece in pieces.items()
            if max(piece.until, ends.get((line, piece.log), piece.until)) < before
        }
    return found
