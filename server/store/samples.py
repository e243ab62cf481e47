"""Samples of many items as parallel columns: sorting, merging, cutting into hours, reducing. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.store.instants import HOUR_US

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Parallel columns: `items` int32[n], `at_us` int64[n] (µs since 1970 UTC), `values` float64[n], `late` bool[n]."""

    items: NDArray[np.int32]
    at_us: NDArray[np.int64]
    values: NDArray[np.float64]
    late: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.items)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Samples:
        """Return the samples a mask, an index array or a slice chooses."""
        return Samples(
            items=self.items[chosen], at_us=self.at_us[chosen], values=self.values[chosen], late=self.late[chosen]
        )

    def of_item(self, item_id: int) -> Samples:
        """Return one item's samples; the columns must be ordered by item, as `in_order` leaves them."""
        begin, end = np.searchsorted(self.items, [item_id, item_id + 1])
        return self.where(slice(int(begin), int(end)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reduced:
    """Runs of samples, each reduced to four figures: `count` int64[m] of numbers, the others float64[m]."""

    minimum: NDArray[np.float64]
    average: NDArray[np.float64]
    maximum: NDArray[np.float64]
    count: NDArray[np.int64]


def no_samples() -> Samples:
    """Return zero samples."""
    return Samples(
        items=np.empty(0, np.int32), at_us=np.empty(0, np.int64), values=np.empty(0), late=np.empty(0, np.bool_)
    )


def concatenate(parts: Sequence[Samples]) -> Samples:
    """Return all parts after each other; of equal (item, instant), `in_order` keeps the last."""
    if not parts:
        return no_samples()
    return Samples(
        items=np.concatenate([part.items for part in parts]),
        at_us=np.concatenate([part.at_us for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        late=np.concatenate([part.late for part in parts]),
    )


def in_order(samples: Samples) -> Samples:
    """Order by item and instant; of several samples with the same item and instant the last one given stays."""
    if not len(samples):
        return samples
    ordered = samples.where(np.lexsort((samples.at_us, samples.items)))  # stable: equal ones keep their order
    is_last = np.empty(len(ordered), dtype=np.bool_)
    is_last[-1] = True
    np.not_equal(ordered.items[1:], ordered.items[:-1], out=is_last[:-1])
    is_last[:-1] |= ordered.at_us[1:] != ordered.at_us[:-1]
    return ordered if is_last.all() else ordered.where(is_last)


def cut_by_hour(samples: Samples) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (begins, hours) of the runs of one item and one hour in ordered samples.

    `begins` int64[runs + 1] are indices, the last one the number of samples; `hours` int64[runs] hours' begins in µs.
    """
    if not len(samples):
        return np.zeros(1, np.int64), np.empty(0, np.int64)
    hours = samples.at_us // HOUR_US
    is_new = np.empty(len(samples), dtype=np.bool_)
    is_new[0] = True
    np.not_equal(samples.items[1:], samples.items[:-1], out=is_new[1:])
    is_new[1:] |= hours[1:] != hours[:-1]
    begins = np.flatnonzero(is_new)
    return np.append(begins, len(samples)), hours[begins] * HOUR_US


def items_of(samples: Samples) -> Iterator[tuple[int, Samples]]:
    """Yield (item id, its samples) of ordered samples."""
    if not len(samples):
        return
    begins = np.flatnonzero(np.diff(samples.items, prepend=-1))
    ends = np.append(begins[1:], len(samples))
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        yield int(samples.items[begin]), samples.where(slice(begin, end))


def reduce_runs(samples: Samples, begins: NDArray[np.int64]) -> Reduced:
    """Reduce each run [begins[i], begins[i+1]) of samples to its minimum, average, maximum and count of numbers."""
    starts = begins[:-1]
    if not len(starts):
        nothing = np.empty(0)
        return Reduced(minimum=nothing, average=nothing, maximum=nothing, count=np.empty(0, np.int64))
    is_number = ~np.isnan(samples.values)
    count = np.add.reduceat(is_number, starts, dtype=np.int64)
    with np.errstate(invalid="ignore", over="ignore"):  # infinities are legal values
        total = np.add.reduceat(np.where(is_number, samples.values, 0.0), starts)
        average = np.divide(total, count, out=np.full(len(starts), np.nan), where=count > 0)
    return Reduced(
        minimum=np.fmin.reduceat(samples.values, starts),
        average=average,
        maximum=np.fmax.reduceat(samples.values, starts),
        count=count,
    )
