"""Decides from the outcomes of an expression when problems open and are resolved."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class State(IntEnum):
    """What is known about one instance of a trigger."""

    OK = 0
    PROBLEM = 1
    UNKNOWN = 2


class Change(IntEnum):
    """What happened to a problem."""

    RESOLVED = 0
    OPENED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Problems that opened or were resolved, as columns of one length, ordered by (instant, key).

    `keys` int64: the instance, as the caller numbered it. `changes` int8: a `Change`. `instants` int64: µs since 1970
    UTC of the sample (or of the timer) that decided. `values` float64: what the expression's first numeric function
    yielded then; NaN when it was unknown or when there is none.
    """

    keys: NDArray[np.int64]
    changes: NDArray[np.int8]
    instants: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.keys)


def order_events(parts: Sequence[Events]) -> Events:
    """Put events of several origins in order of (instant, key); those of one key in the order they have."""
    if not parts:
        nothing = np.empty(0, np.int64)
        return Events(keys=nothing, changes=np.empty(0, np.int8), instants=nothing, values=np.empty(0))
    keys = np.concatenate([part.keys for part in parts])
    instants = np.concatenate([part.instants for part in parts])
    order = np.lexsort((keys, instants))
    return Events(
        keys=keys[order],
        changes=np.concatenate([part.changes for part in parts])[order],
        instants=instants[order],
        values=np.concatenate([part.values for part in parts])[order],
    )


class Transitions(NamedTuple):
    """What a run of outcomes does to the problems of its rows.

    `places` int64: indices into the outcomes at which a problem opens or is resolved; `changes` int8 says which.
    `rows` int64: each row once; `states` int8 its last outcome as a `State`; `is_open` bool whether its problem is open
    after all.
    """

    places: NDArray[np.int64]
    changes: NDArray[np.int8]
    rows: NDArray[np.int64]
    states: NDArray[np.int8]
    is_open: NDArray[np.bool_]


def follow(
    rows: NDArray[np.int64],
    truth: NDArray[np.bool_],
    is_known: NDArray[np.bool_],
    was_open: NDArray[np.bool_],
) -> Transitions:
    """Follow outcomes, given row by row and in instant order within each row, from the problems open before.

    All are of length n ≥ 1; `was_open` repeats for each outcome whether the row's problem was open before the first.
    Invariants: an unknown outcome changes nothing; openings and resolutions of a row take turns.
    """
    known = np.flatnonzero(is_known)
    known_rows, holds = rows[known], truth[known]
    before = was_open[known]
    is_same_row = known_rows[1:] == known_rows[:-1]
    before[1:][is_same_row] = holds[:-1][is_same_row]
    has_changed = holds != before
    is_last = np.append(rows[1:] != rows[:-1], True)
    last = np.flatnonzero(is_last)
    is_open = was_open[last]
    # the last known outcome of a row decides; rows without one keep what they had
    known_last = np.flatnonzero(np.append(~is_same_row, True)) if len(known) else known
    group_of = np.cumsum(is_last) - is_last
    is_open[group_of[known[known_last]]] = holds[known_last]
    states = np.where(is_known[last], truth[last].astype(np.int8), np.int8(State.UNKNOWN)).astype(np.int8)
    return Transitions(known[has_changed], holds[has_changed].astype(np.int8), rows[last], states, is_open)
