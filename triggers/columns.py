"""What evaluation is given: samples, instances of triggers, and who judges silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gapped:
    """Items whose windows reach back over missing samples: columns of one length.

    `items` int32; `until` int64, before which samples are missing; `since` int64, from when on their windows
    reach (both µs, samples' clock).
    """

    items: NDArray[np.int32]
    until: NDArray[np.int64]
    since: NDArray[np.int64]


Judge = Callable[[NDArray[np.int32]], NDArray[np.bool_]]
"""Given item ids int32[k], says bool[k]: is the silence of that item its own, and not the way's to us?"""


def nothing_is_judgeable(items: NDArray[np.int32]) -> NDArray[np.bool_]:
    """The judge to use at start, before any upstream has been steady: no silence means anything."""
    return np.zeros(len(items), bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Samples in arrival order: `items` int32[n] (ids ≥ 0), `instants` int64[n] (µs UTC), `values` float64[n].

    Ids should be dense: memory takes 4 bytes for each up to the highest one that a trigger speaks of.
    """

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

    0 seconds: only the newest value. `since` int64[k] (µs): since when each has existed (`watched_since`).
    """

    items: NDArray[np.int32]
    window_seconds: NDArray[np.float64]
    since: NDArray[np.int64]
