"""What the live feed tells: topics, and the form of a message (docs/protocol.md, Live feed)."""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import Final

_HEADER: Final = struct.Struct("<cQ")
_INSTANT: Final = struct.Struct("<q")
_VALUES: Final = b"V"
_TEXT: Final = b"T"
_STRUCTURED: Final = b"S"
_VALUE_BYTES: Final = 16


class FeedMessageError(ValueError):
    """The bytes are no message of the feed; the text says why."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one message told: instants in µs since 1970 UTC, and as many numbers, or one text,
    which `is_structured` says is a JSON document in its canonical form.

    `before` is how many values this topic was told before: who counts along sees what was missed.
    """

    topic: str
    before: int
    instants: array[int]
    values: array[float] | tuple[str, ...]
    is_structured: bool = False


def topic_of(host: str, key: str) -> str:
    """Return the topic of an item: `host/probe/item`, where the key's name up to its first dot is the probe.

    A key without a dot has the topic `host/key`.
    """
    name, bracket, parameter = key.partition("[")
    return f"{host}/{name.replace('.', '/', 1)}{bracket}{parameter}"


def pack_values(before: int, instants: bytes, values: bytes) -> bytes:
    """Return the body that tells numbers; int64 instants and float64 values of one length, little-endian."""
    return _HEADER.pack(_VALUES, before) + instants + values


def pack_text(before: int, at_us: int, text: str) -> bytes:
    """Return the body that tells one text."""
    return _HEADER.pack(_TEXT, before) + _INSTANT.pack(at_us) + text.encode()


def pack_structured(before: int, at_us: int, document: str) -> bytes:
    """Return the body that tells one structured value, given in its canonical form."""
    return _HEADER.pack(_STRUCTURED, before) + _INSTANT.pack(at_us) + document.encode()


def unpack(topic: bytes, body: bytes) -> Told:
    """Return what a message told. Raises FeedMessageError."""
    try:
        kind, before = _HEADER.unpack_from(body)
        words = topic.decode()
        columns = body[_HEADER.size :]
        if kind in (_TEXT, _STRUCTURED):
            (at_us,) = _INSTANT.unpack_from(columns)
            text = columns[_INSTANT.size :].decode()
            return Told(words, before, array("q", [at_us]), (text,), is_structured=kind == _STRUCTURED)
    except (struct.error, UnicodeDecodeError) as error:
        raise FeedMessageError(f"a message of {len(body)} bytes is none of the feed's: {error}") from error
    if kind != _VALUES or len(columns) % _VALUE_BYTES:
        raise FeedMessageError(f"a message of kind {kind!r} and {len(body)} bytes is none of the feed's")
    middle = len(columns) // 2
    instants, values = array("q", columns[:middle]), array("d", columns[middle:])
    if sys.byteorder == "big":
        instants.byteswap()
        values.byteswap()
    return Told(words, before, instants, values)
