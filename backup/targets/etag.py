"""The MD5 a target tells of a file: of all its bytes or, of one that S3 took in parts, of the MD5s of these."""

from __future__ import annotations

import hashlib


class EtagSum:
    """Sums a file's bytes as its target did. part_bytes: of each part but the last; None: it was not sent in parts.

    The form for parts is S3's, which its manual ("Checking object integrity") calls a composite of MD5 digests.
    """

    def __init__(self, part_bytes: int | None) -> None:
        self._part_bytes, self._left = part_bytes, part_bytes or 0
        self._part = hashlib.md5(usedforsecurity=False)
        self._parts: list[bytes] = []

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        if self._part_bytes is None:
            self._part.update(piece)
            return
        rest = memoryview(piece)
        while rest:
            if self._left == 0:
                self._end_part()
            self._part.update(rest[: self._left])
            taken = min(self._left, len(rest))
            self._left -= taken
            rest = rest[taken:]

    def text(self) -> str:
        """Return the sum of what was taken, as a target writes it."""
        if self._part_bytes is None:
            return self._part.hexdigest()
        digests = [*self._parts, self._part.digest()]
        return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"

    def _end_part(self) -> None:
        self._parts.append(self._part.digest())
        self._part = hashlib.md5(usedforsecurity=False)
        self._left = self._part_bytes or 0
