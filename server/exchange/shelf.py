"""Rows that were judged, kept on the disk until the whole file is: then they are stored without being read again."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from server.exchange.book import Settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_COLUMNS: Final = ("places", "at_us")


class Shelf:
    """Pieces in a temporary file, some 20 bytes a number; read back in the order in which they were put."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def put(self, settled: Settled) -> None:
        """Keep one piece."""
        head = {"numbers": list(settled.numbers), "texts": list(settled.texts.items())}
        self._file.write(json.dumps(head).encode() + b"\n")
        columns: list[NDArray[Any]] = [settled.places, settled.at_us, *settled.numbers.values()]
        for column in columns:
            np.save(self._file, column, allow_pickle=False)

    def take(self) -> Iterator[Settled]:
        """Yield all pieces."""
        self._file.seek(0)
        while head := self._file.readline():
            found = json.loads(head)
            columns: list[Any] = [np.load(self._file, allow_pickle=False) for _ in (*_COLUMNS, *found["numbers"])]
            yield Settled(
                places=columns[0], at_us=columns[1], numbers=dict(zip(found["numbers"], columns[2:], strict=True)),
                texts=dict(found["texts"]), too_old=0, ahead=0,
            )  # fmt: skip
