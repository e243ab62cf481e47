"""Decides from the outcomes of an expression when problems open and are resolved."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
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
