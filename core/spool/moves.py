"""Where the records of a file lie that was written anew with only some of them: places of before stay meaningful."""

from __future__ import annotations


class Moves:
    """After each rewriting offsets begin behind all former ones, so an offset tells by itself from when it is."""

    def __init__(self) -> None:
        self._moves: list[tuple[int, dict[int, int]]] = []

    def note(self, begin: int, moves: dict[int, int]) -> None:
        """Note that the file was rewritten and begins at `begin` now; `moves`: kept records, from and to, in order."""
        self._moves = [
            (until, {before: moves[now] for before, now in earlier.items() if now in moves})
            for until, earlier in self._moves
        ]
        self._moves.append((begin, moves))

    def present(self, offset: int, end: int) -> int:
        """Return where a place is now: that of the next record kept, `end` when none is behind it."""
        for until, moves in self._moves:
            if offset < until:
                return next((now for before, now in moves.items() if before >= offset), end)
        return offset
