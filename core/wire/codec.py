"""Control messages to and from bytes. Decoding trusts nothing; whatever is wrong is a MessageError and nothing else."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

import msgpack

from core.wire.limits import MAX_CONTROL_BYTES
from core.wire.messages import FROM_COLLECTORS, FROM_SOURCES
from core.wire.shapes import ShapeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.wire.messages import CollectorMessage, SourceMessage

Message = TypeVar("Message")

_TYPES: dict[type[Any], str] = {kind: name for names in (FROM_SOURCES, FROM_COLLECTORS) for name, kind in names.items()}


class MessageError(ValueError):
    """The bytes are no message we know, or a message is too large to send; the text says what is wrong."""


def encode(message: SourceMessage | CollectorMessage) -> bytes:
    """Return the message's bytes. Raises MessageError when they exceed MAX_CONTROL_BYTES."""
    content: dict[str, Any] = {"type": _TYPES[type(message)]}
    content |= {name: getattr(message, name) for name in _SHAPES[type(message)]}
    data: bytes = msgpack.packb(content)
    if len(data) > MAX_CONTROL_BYTES:
        raise MessageError(f"a {content['type']} of {len(data)} bytes exceeds the limit of {MAX_CONTROL_BYTES}")
    return data


def decode_from_source(data: bytes) -> SourceMessage:
    """Read a message a source sent to a collector. Raises MessageError."""
    return _decode(data, FROM_SOURCES)


def decode_from_collector(data: bytes) -> CollectorMessage:
    """Read a message a collector sent to a source. Raises MessageError."""
    return _decode(data, FROM_COLLECTORS)


def _decode(data: bytes, kinds: Mapping[str, type[Message]]) -> Message:
    if len(data) > MAX_CONTROL_BYTES:
        raise MessageError(f"a message of {len(data)} bytes exceeds the limit of {MAX_CONTROL_BYTES}")
    try:
        content = msgpack.unpackb(data, strict_map_key=True)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise MessageError(f"a message is not msgpack: {error or type(error).__name__}") from error
    if not isinstance(content, dict):
        raise MessageError("a message is a msgpack map, and this is none")
    name = content.pop("type", None)
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MessageError(f"unknown message type {name!r:.80}")
    wanted = _SHAPES[kind]
    unknown = content.keys() - wanted.keys()
    if unknown:
        raise MessageError(f"a {name} has unknown fields: {sorted(map(str, unknown))!r:.200}")
    values: dict[str, Any] = {}
    for field_name, (shape, is_required) in wanted.items():
        if field_name not in content:
            if is_required:
                raise MessageError(f"a {name} lacks the field {field_name}")
            continue
        try:
            values[field_name] = shape(content[field_name])
        except ShapeError as error:
            raise MessageError(f"field {field_name} of a {name} shall be {error}") from error
    return kind(**values)


def _shapes_of(kind: type[Any]) -> dict[str, tuple[Any, bool]]:
    return {field.name: (field.metadata["shape"], field.default is MISSING) for field in fields(kind)}


_SHAPES: dict[type[Any], dict[str, tuple[Any, bool]]] = {kind: _shapes_of(kind) for kind in _TYPES}
