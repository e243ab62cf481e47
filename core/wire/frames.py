"""The data plane's frame: a 17-byte envelope, then records as they lie in a spool."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from core.wire.limits import FRAME_BYTES, MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_FRAME_BYTES: Final = max(FRAME_BYTES, MAX_RECORD_BYTES)
_ENVELOPE: Final = struct.Struct("<cQQ")
_DATA: Final = b"D"


class FrameError(ValueError):
    """The envelope is none; the text says what is wrong."""


def pack_envelope(session: int, frame: int) -> bytes:
    """Return the first part of a data message: frame number `frame` (from 1) of `session`."""
    return _ENVELOPE.pack(_DATA, session, frame)


def read_envelope(data: bytes, part_sizes: Sequence[int]) -> tuple[int, int]:
    """Return (session, frame number) of a message whose first part is `data`. Raises FrameError."""
    if len(part_sizes) != 2:
        raise FrameError(f"a data message has 2 parts, not {len(part_sizes)}")
    if part_sizes[1] > LARGEST_FRAME_BYTES:
        raise FrameError(f"a data frame of {part_sizes[1]} bytes exceeds the limit of {LARGEST_FRAME_BYTES}")
    if len(data) != _ENVELOPE.size:
        raise FrameError(f"a data envelope has {_ENVELOPE.size} bytes, not {len(data)}")
    kind, session, frame = _ENVELOPE.unpack(data)
    if kind != _DATA or frame < 1:
        raise FrameError("a data envelope starts with D and numbers its frame from 1")
    return session, frame
