"""Whether a boot has another past than this life knows: the machine went back to a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from core.spool.scan import checksum_at

if TYPE_CHECKING:
    from core.spool.spool import Spool


class Seen(NamedTuple):
    """The highest number of a boot that a collector has received, and that record's checksum; 0 when not known."""

    number: int
    checksum: int = 0


def has_another_past(spool: Spool, source: bytes, boot: int, last_number: int, seen: Seen | None) -> bool:
    """Tell whether a collector has received records of this boot which this life never made.

    A number beyond the last one issued shows it at once. A machine that came back from a snapshot may have issued as
    many since, before anybody told it: then the record it holds under the highest number seen is another one.
    Raises SpoolFault when the spool cannot be read.
    """
    if seen is None:
        return False
    if seen.number > last_number:
        return True
    own = next(spool.find(source, boot, seen.number, seen.number), None) if seen.checksum else None
    return own is not None and checksum_at(own) != seen.checksum
