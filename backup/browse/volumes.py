"""Which volumes of a run hold a path, by duplicity's own list of them: each has the first and the last path in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import PurePosixPath

_VOLUME: Final = re.compile(rb"^Volume (\d+):$")
_PATH: Final = re.compile(rb"^ +(Starting|Ending)Path +(\"(?:[^\"\\]|\\x[0-9a-f]{2})*\"|[^ ]+)")
_ESCAPED: Final = re.compile(rb"\\x([0-9a-f]{2})")


def volumes_of(listed: bytes, path: PurePosixPath) -> set[int]:
    """Return the numbers of the volumes in which something at or below `path` may be, of those that are listed."""
    wanted = tuple(str(path).encode("utf-8", "surrogateescape").split(b"/"))
    found: set[int] = set()
    number = 0
    start: tuple[bytes, ...] = ()
    for line in listed.splitlines():
        if volume := _VOLUME.match(line):
            number = int(volume[1])
        elif named := _PATH.match(line):
            parts = _parts(named[2])[: len(wanted)]
            if named[1] == b"Starting":
                start = parts
            elif start <= wanted <= parts or wanted in (start, parts):
                found.add(number)
    return found


def _parts(quoted: bytes) -> tuple[bytes, ...]:
    if quoted == b".":
        return ()
    plain = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), quoted[1:-1]) if quoted[:1] == b'"' else quoted
    return tuple(plain.split(b"/"))
