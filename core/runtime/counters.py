"""Named numbers a part keeps about itself, for the health page and the `counters` message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Number = int | float


class Counters:
    """Counts that only grow, gauges that are set, and gauges that are asked when somebody looks.

    Names are dotted words ("link.refused_frames"). A snapshot is a plain mapping of name to number.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, Number] = {}
        self._watched: dict[str, Callable[[], Number]] = {}

    def add(self, name: str, amount: Number = 1) -> None:
        """Count `amount` more of `name`; an unknown name starts at 0."""
        self._numbers[name] = self._numbers.get(name, 0) + amount

    def set(self, name: str, value: Number) -> None:
        """Set the gauge `name`."""
        self._numbers[name] = value

    def watch(self, name: str, read: Callable[[], Number]) -> None:
        """Ask `read` for `name` at each snapshot; a second watch of the same name replaces the first."""
        self._watched[name] = read

    def get(self, name: str) -> Number:
        """Return the number called `name`; 0 when it was never counted or set."""
        read = self._watched.get(name)
        return read() if read is not None else self._numbers.get(name, 0)

    def snapshot(self) -> dict[str, Number]:
        """Return every number by name, sorted."""
        return {name: self.get(name) for name in sorted(self._numbers.keys() | self._watched.keys())}
