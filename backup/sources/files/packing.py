"""Cuts a tree into parts of even weight, by what a survey saw of it: always the same of the same tree."""

from __future__ import annotations

import heapq
import os
import re
import stat
from collections import defaultdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from backup.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Iterable

_ENTRY_BYTES: Final = 8 << 10  # what an entry weighs beside its bytes: 0.2 ms of duplicity's, at 35 MB/s
_MOST_DEPTH: Final = 12  # of what may be listed
_MOST_LISTED: Final = 2000
_MOST_LISTED_BYTES: Final = 60_000  # with the folders above them they stand in one word of a command line: 128 KiB
_FULL: Final = 0.97  # of its even share; then a part is left alone
_LEAST: Final = 20 * _MOST_LISTED  # so many of the lightest that is listed are a tree


class Weights:
    """What a tree weighs, by folder down to some depth, and its largest files."""

    def __init__(self, roots: Iterable[os.PathLike[str]]) -> None:
        """`roots`: whole paths without links; one below another belongs to that one."""
        whole = {PurePosixPath(root) for root in roots}
        self._roots = sorted(os.fsencode(each) for each in whole if not whole.intersection(each.parents))
        self._own: defaultdict[bytes, int] = defaultdict(int)
        self._largest: list[tuple[int, bytes]] = []

    def take(self, path: bytes, status: os.stat_result) -> None:
        """Take an entry of the tree."""
        weight = _ENTRY_BYTES + (status.st_size if stat.S_ISREG(status.st_mode) else 0)
        names = path.split(b"/")
        if len(names) > _MOST_DEPTH:
            self._own[b"/".join(names[:_MOST_DEPTH])] += weight
        elif stat.S_ISDIR(status.st_mode) or path in self._roots:
            self._own[path] += weight
        else:
            self._own[os.path.dirname(path)] += weight  # noqa: PTH120 - bytes, a million
            add = heapq.heappush if len(self._largest) < _MOST_LISTED else heapq.heappushpop
            add(self._largest, (weight, path))

    def cut(self, asked: int) -> Cut:
        """Return the tree cut into `asked` parts; fewer when there is not so much to list.

        All is in the first part to begin with. What is heaviest is moved out of it, to the part that is lightest then,
        when it fits there; a folder that does not fit is looked into.
        """
        weights, inside = self._sums()
        first, others = sum(weights.get(root, 0) for root in self._roots), (asked - 1) * [0]
        share, least = first / asked, first / _LEAST
        listed: list[list[str]] = [[] for _ in others]
        room = _Room()
        todo = [(-weights[root], root) for root in self._roots if root in weights]
        while todo and min(others) < _FULL * share:
            weight, path = -todo[0][0], heapq.heappop(todo)[1]
            number = others.index(min(others))
            if others[number] + weight > share and path in inside:
                for each in inside[path]:
                    if weights[each] >= least:
                        heapq.heappush(todo, (-weights[each], each))
            elif others[number] + weight <= max(share, first - weight) and room.take(path):
                first -= weight
                others[number] += weight
                listed[number].append(os.fsdecode(path))
        return Cut(asked=asked, listed=tuple(tuple(sorted(each)) for each in listed if each))

    def _sums(self) -> tuple[dict[bytes, int], dict[bytes, list[bytes]]]:
        """Return what each folder weighs with all below it, each large file, and which of them lie in which folder."""
        weights, inside = dict(self._own), defaultdict(list)
        for path in sorted(self._own, key=lambda path: -len(path)):  # a folder's content before the folder
            if path not in self._roots:
                folder = os.path.dirname(path)  # noqa: PTH120 - bytes
                weights[folder] = weights.get(folder, 0) + weights[path]
                inside[folder].append(path)
        for weight, path in self._largest:
            weights[path] = weight
            inside[os.path.dirname(path)].append(path)  # noqa: PTH120 - bytes
        return weights, inside


class _Room:
    """What may still be listed."""

    def __init__(self) -> None:
        self._count, self._bytes = _MOST_LISTED, _MOST_LISTED_BYTES

    def take(self, path: bytes) -> bool:
        """Take the room for a path; return whether there was any."""
        size = len(re.escape(path)) + 1
        if self._count < 1 or self._bytes < size:
            return False
        self._count -= 1
        self._bytes -= size
        return True
