"""Checks what came out of msgpack, once, at the edge: each shape returns the value it accepts or says what it wants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from core.model.record import MAX_BOOT
from core.wire.limits import MAX_ACKS, MAX_NAME_LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    Shape = Callable[[Any], Any]

UNSIGNED_64: Final = (1 << 64) - 1
_DEEPEST: Final = 12


class ShapeError(ValueError):
    """The value has another shape; the text says which was expected."""


def number(lowest: int, highest: int) -> Shape:
    """Whole numbers from `lowest` to `highest`."""

    def check(value: Any) -> int:
        if type(value) is not int or not lowest <= value <= highest:
            raise ShapeError(f"a whole number from {lowest} to {highest}")
        return value

    return check


def text(most_letters: int) -> Shape:
    """Text of at most `most_letters`, printable: it goes into logs and onto pages."""

    def check(value: Any) -> str:
        if type(value) is not str or len(value) > most_letters or not value.isprintable():
            raise ShapeError(f"printable text of at most {most_letters} letters")
        return value

    return check


def binary(length: int) -> Shape:
    """Exactly `length` bytes."""

    def check(value: Any) -> bytes:
        if type(value) is not bytes or len(value) != length:
            raise ShapeError(f"{length} bytes")
        return value

    return check


def choice(*words: str) -> Shape:
    """One of `words`."""

    def check(value: Any) -> str:
        if type(value) is not str or value not in words:
            raise ShapeError(f"one of {', '.join(words)}")
        return value

    return check


def optional(shape: Shape) -> Shape:
    """What `shape` accepts, or nil."""
    return lambda value: None if value is None else shape(value)


def boolean(value: Any) -> bool:
    """Accept true or false."""
    if type(value) is not bool:
        raise ShapeError("true or false")
    return value


def row(*shapes: Shape) -> Shape:
    """A list with one value for each of `shapes`; becomes a tuple."""

    def check(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) != len(shapes):
            raise ShapeError(f"a list of {len(shapes)}")
        return tuple(shape(entry) for shape, entry in zip(shapes, value, strict=True))

    return check


def rows(shape: Shape, most: int) -> Shape:
    """A list of at most `most` values of one shape; becomes a tuple."""

    def check(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            raise ShapeError(f"a list of at most {most}")
        return tuple(shape(entry) for entry in value)

    return check


def numbers_by_name(value: Any) -> dict[str, int | float]:
    """Accept a map of at most 1000 names to finite numbers."""
    if type(value) is not dict or len(value) > 1000:
        raise ShapeError("a map of at most 1000 names to numbers")
    for name, amount in value.items():
        if type(name) is not str or len(name) > MAX_NAME_LETTERS or not name.isprintable():
            raise ShapeError(f"a map whose names are printable and have at most {MAX_NAME_LETTERS} letters")
        if type(amount) not in (int, float) or not math.isfinite(amount):
            raise ShapeError(f"a map of names to numbers; {name} is none")
    return value


def body(value: Any) -> dict[str, Any]:
    """Accept a map with text keys, nested at most 12 deep; what it means is for its reader to check."""
    if type(value) is not dict:
        raise ShapeError("a map")
    _walk(value, _DEEPEST)
    return value


def _walk(value: Any, depth: int) -> None:
    if depth == 0:
        raise ShapeError(f"a map nested at most {_DEEPEST} deep")
    if type(value) is dict:
        for key, entry in value.items():
            if type(key) is not str:
                raise ShapeError("a map whose keys are text")
            _walk(entry, depth - 1)
    elif type(value) is list:
        for entry in value:
            _walk(entry, depth - 1)
    elif value is not None and type(value) not in (bool, int, float, str, bytes):
        raise ShapeError("a map of plain values")


def ranges(value: Any) -> tuple[tuple[int, int], ...]:
    """Accept [[first, last], …] of record numbers, none reversed."""
    found: tuple[tuple[int, int], ...] = rows(row(record_number, record_number), MAX_ACKS)(value)
    if any(last < first for first, last in found):
        raise ShapeError("ranges whose first is not after their last")
    return found


unsigned_64: Final = number(0, UNSIGNED_64)
count: Final = number(0, MAX_BOOT)
boot: Final = number(1, MAX_BOOT)
record_number: Final = number(1, MAX_BOOT)
instant: Final = number(-MAX_BOOT, MAX_BOOT)
source_id: Final = binary(16)
key: Final = binary(32)
name: Final = text(MAX_NAME_LETTERS)
