"""Since when something lies in the spool that neither an fsync nor an acknowledgement has made safe."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.model.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.model.ranges import NumberRange
    from core.spool.position import Key
    from core.spool.scan import Run

_SPAN_SECONDS = 0.25
_MAX_GROUPS = 64


@dataclass(slots=True)
class _Group:
    number: int
    at: float
    unsafe: dict[Key, RangeSet] = field(default_factory=dict)


class Unsynced:
    """Appended records in groups of a quarter of a second, so that it is bounded and still exact enough."""

    def __init__(self) -> None:
        self._groups: deque[_Group] = deque()
        self._next = 1
        self._is_last_closed = False

    @property
    def oldest_at(self) -> float | None:
        """When the oldest group with something unsafe in it was begun."""
        return self._groups[0].at if self._groups else None

    def note(self, now: float, runs: Sequence[Run]) -> None:
        """Note records appended now."""
        groups = self._groups
        is_full = len(groups) >= _MAX_GROUPS
        if not groups or self._is_last_closed or (now - groups[-1].at >= _SPAN_SECONDS and not is_full):
            groups.append(_Group(self._next, now))
            self._next += 1
            self._is_last_closed = False
        unsafe = groups[-1].unsafe
        for source, boot, first, last in runs:
            ranges = unsafe.get((source, boot))
            if ranges is None:
                ranges = unsafe[source, boot] = RangeSet()
            ranges.add(first, last)

    def acknowledge(self, key: Key, ranges: Iterable[NumberRange]) -> None:
        """Note that somebody else has these records on disk."""
        emptied = False
        for group in self._groups:
            unsafe = group.unsafe.get(key)
            if unsafe is None:
                continue
            for first, last in ranges:
                unsafe.remove(first, last)
            if not unsafe:
                del group.unsafe[key]
                emptied = emptied or not group.unsafe
        if emptied:
            self._groups = deque(group for group in self._groups if group.unsafe)

    def begin_sync(self) -> int:
        """Note that an fsync begins; return what `end_sync` wants when it succeeded."""
        self._is_last_closed = True
        return self._next - 1

    def end_sync(self, began: int) -> None:
        """Forget what was appended before the fsync began."""
        while self._groups and self._groups[0].number <= began:
            self._groups.popleft()
