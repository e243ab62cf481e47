"""The form in which readings are published: what fits, what is refused, how an item is described."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from core.model.item import ItemDescription
from core.model.structured import StructuredError, canonical

if TYPE_CHECKING:
    from probes.declaration import Item, Reading

LONGEST_PARAMETER: Final = 200
LONGEST_TEXT: Final = 4000


class RefusedReadingError(ValueError):
    """A reading cannot be published; the text says which and why."""


def fit_reading(item: Item, reading: Reading) -> Reading:
    """Return the reading in the form that can be published. Raises RefusedReadingError saying why it cannot."""
    parameter, value = reading.parameter, reading.value
    if not parameter.isprintable():
        parameter = "".join(letter if letter.isprintable() else _escape(letter) for letter in parameter)
    if bool(parameter) != bool(item.parameter) or len(parameter) > LONGEST_PARAMETER:
        raise RefusedReadingError(f"{item.key}: {parameter:.40} is no usable {item.parameter or 'parameter'}")
    if (item.type == "number") == isinstance(value, str) and value is not None:
        raise RefusedReadingError(f"{item.key}: {value!r:.40} is no {item.type}")
    if isinstance(value, str) and item.type == "structured":
        value = _fit_document(item, value)
    elif isinstance(value, str):
        value = "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in value)
        value = value[:LONGEST_TEXT]
    elif value is not None and not math.isfinite(value):
        raise RefusedReadingError(f"{item.key}: {value} is not finite")
    if parameter is reading.parameter and value is reading.value:
        return reading
    return reading._replace(parameter=parameter, value=value)


def _fit_document(item: Item, text: str) -> str:
    try:
        return canonical(text)
    except StructuredError as error:
        raise RefusedReadingError(f"{item.key}: {error}") from error


def describe_item(item: Item, parameter: str, unit: str = "", host: str = "") -> ItemDescription:
    """Return what a source's dictionary says of an item; `unit` is a reading's own, `host` empty for the source's."""
    return ItemDescription(
        key=f"{item.key}[{parameter}]" if parameter else item.key,
        type=item.type,
        unit=unit or item.unit,
        description=item.description,
        host=host,
    )


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
