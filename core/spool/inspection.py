"""Looks at a spool's folder from outside: takes no lock and changes nothing, whether a process has it open or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.spool.disk import read_what_can_be
from core.spool.position import Damage
from core.spool.scan import Scan
from core.spool.segment import FILE_HEADER, FILE_MAGIC, FILE_NAME, START

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolView:
    """What lies in a spool's folder. `checked_bytes` of `held_bytes` were verified; `damages` are what was wrong."""

    files: int
    held_bytes: int
    checked_bytes: int
    damages: tuple[Damage, ...]


def inspect(folder: Path, max_checked_bytes: int) -> SpoolView:
    """Verify segments, newest first, until about `max_checked_bytes` were read; blocks. Raises OSError.

    The end of the newest segment may be a record being written and is not called damaged. What is deleted meanwhile
    is left out.
    """
    paths = sorted((path for path in folder.iterdir() if FILE_NAME.fullmatch(path.name)), reverse=True)
    files = held = checked = 0
    damages: list[Damage] = []
    for path in paths:
        try:
            size = path.stat().st_size
            if checked < max_checked_bytes:
                damages += damages_of(path, is_newest=path == paths[0])
                checked += size
        except FileNotFoundError:
            continue
        files += 1
        held += size
    return SpoolView(files=files, held_bytes=held, checked_bytes=checked, damages=tuple(damages))


def damages_of(path: Path, *, is_newest: bool) -> list[Damage]:
    """Return what in a segment's file is no record. Raises OSError."""
    data = read_what_can_be(path)
    if len(data) < START and is_newest:
        return []  # just made
    damages = []
    if data[:START] != FILE_HEADER.pack(FILE_MAGIC, int(path.name[:16], 16)):
        bad = min(START, len(data))
        damages.append(Damage(file=path.name, offset=0, bytes=bad, reason="not the header of a segment file"))
    scan = Scan(data, min(START, len(data)))
    holes = scan.holes[:-1] if is_newest and scan.is_tail_damaged else scan.holes
    found = Damage(file=path.name, offset=0, bytes=0, reason="")
    return damages + [
        replace(found, offset=hole.begin, bytes=hole.end - hole.begin, reason=hole.reason, missing=hole.missing)
        for hole in holes
    ]
