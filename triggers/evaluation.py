"""Evaluates triggers over columns of samples, staging every effect until the samples are committed.

Single-threaded and one stage at a time: between `evaluate` or `tick` and the `commit` or `drop` of what it returned, no
other method may be called (RuntimeError).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from triggers.compile import Compiled
    from triggers.judgement.problem import Events

Judge = Callable[[NDArray[np.int32]], NDArray[np.bool_]]
"""Given item ids int32[k], says bool[k]: is the silence of that item its own, and not the way's to us?"""


def nothing_is_judgeable(items: NDArray[np.int32]) -> NDArray[np.bool_]:
    """The judge to use at start, before any upstream has been steady: no silence means anything."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Samples in arrival order: `items` int32[n] (ids), `instants` int64[n] (µs since 1970 UTC), `values` float64[n]."""

    items: NDArray[np.int32]
    instants: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Instances of one trigger expression, as columns.

    `keys` int64[n]: the caller's number of each instance (any, but unique in the evaluator); events name it.
    `items` int32[n, r]: item ids, a column for each of the expression's references (`Binding.items` stacked).
    `is_open` bool[n]: whether a problem of the instance is open now. `changed_at` int64[n]: instant (µs) of its last
    event, 0 for none: later events never lie before it.
    """

    keys: NDArray[np.int64]
    items: NDArray[np.int32]
    is_open: NDArray[np.bool_]
    changed_at: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Items that wait for their history: `items` int32[k] and how far to look back, `window_seconds` float64[k].

    0 seconds: only the newest value.
    """

    items: NDArray[np.int32]
    window_seconds: NDArray[np.float64]


class Staged:
    """What an evaluation found. Memory is as before after `drop`, and has moved on after `commit`.

    `events`: what opened and was resolved. `late` bool[n]: samples not newer than their item's last evaluated one (or
    a second one for the same instant in this group); they were not evaluated. Items no trigger speaks of are never
    late. After `tick` it is empty.
    """

    events: Events
    late: NDArray[np.bool_]

    def commit(self) -> None:
        """Keep the effects; after the transaction is committed. A second end of the same stage raises RuntimeError."""
        raise NotImplementedError

    def drop(self) -> None:
        """Forget everything, exactly; after the transaction failed."""
        raise NotImplementedError


class Evaluator:
    """All triggers of a server with the windows of the items they speak of. Pure: no clock, no I/O."""

    def add(self, compiled: Compiled, instances: Instances, now_us: int) -> None:
        """Watch further instances from now on (server clock, µs). Raises ValueError when a key is already there.

        Their items start without history: see `needs`. Nothing is evaluated and no event made before the next
        sample or tick.
        """
        raise NotImplementedError

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Forget instances, and the windows nobody else needs; unknown keys do not matter."""
        raise NotImplementedError

    def needs(self) -> Needs:
        """Items that have come by `add` (or need a longer window than before) and were not refilled since."""
        raise NotImplementedError

    def refill(self, columns: Columns) -> None:
        """Replace what the windows of the items in `columns` hold by stored history, in any order.

        Call it with what `needs` asked for, before evaluating (or with stored samples of everything evaluated so far,
        later). Every item it asked for counts as served by `refilled`, also the ones without history.
        """
        raise NotImplementedError

    def refilled(self, items: NDArray[np.int32]) -> None:
        """Say that history of these items has been read completely, so `needs` names them no more."""
        raise NotImplementedError

    def watched_since(self, items: NDArray[np.int32], since: NDArray[np.int64]) -> None:
        """Say since when (µs, samples' clock) items have existed; default: the `now_us` of `add`.

        `count` is unknown while its window begins before that, so a new host is no host with too few samples.
        """
        raise NotImplementedError

    def evaluate(self, columns: Columns, now_us: int) -> Staged:
        """Take in a group of samples that arrived at `now_us` (server clock, µs) and judge what they touch.

        An instance is judged at every instant at which one of its items has a sample in the group, in instant
        order, whatever the order of arrival. Any float is allowed as value; what is not finite is unknown.
        """
        raise NotImplementedError

    def tick(self, now_us: int, judge: Judge) -> Staged:
        """Judge what changes by time alone: `nodata`, `count`, windows that have run empty. `now_us` server clock."""
        raise NotImplementedError

    def states(self) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Return (keys int64[n], states int8[n] of `State`) of all instances, ordered by key."""
        raise NotImplementedError
