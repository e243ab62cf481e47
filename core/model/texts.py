"""How many texts fit into one record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TextRow = tuple[int, int, str]
"""The item's number, the instant in µs, the text."""

_PART_BYTES: Final = 512 * 1024  # half of what a record may hold
_ROW_BYTES: Final = 16


def split_texts(rows: Iterable[TextRow]) -> Iterator[list[TextRow]]:
    """Split texts, none longer than a record may be, so that each part fits into a record."""
    part: list[TextRow] = []
    size = 0
    for row in rows:
        wanted = _ROW_BYTES + 4 * len(row[2])
        if part and size + wanted > _PART_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += wanted
    if part:
        yield part
