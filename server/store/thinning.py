"""Thins a series to what a graph can show, keeping its peaks; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.store.samples import Samples
    from server.store.trends import Trends


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Columns of one length: `at_us` int64 µs since 1970 UTC, rising; `value`, `minimum`, `maximum` float64.

    `source` says what a point was made of: single values, or the hours' trends.
    """

    source: Literal["values", "trends"]
    at_us: NDArray[np.int64]
    value: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]


def of_values(samples: Samples) -> Series:
    """Return one item's ordered samples as a series in which every sample is a point."""
    values = samples.values
    return Series(source="values", at_us=samples.at_us, value=values, minimum=values, maximum=values)


def of_trends(trends: Trends) -> Series:
    """Return one item's hours as a series in which every hour is a point."""
    return Series(
        source="trends", at_us=trends.at_us, value=trends.average, minimum=trends.minimum, maximum=trends.maximum
    )


def thin(series: Series, points: int) -> Series:
    """Reduce a series to at most `points` stretches of equal time, each with mean, least and greatest.

    A series that is short enough comes out as it is. Stretches without a value are left out, so gaps stay gaps; each
    stands at the middle between its first and last instant. Values that are not numbers count for nothing; points
    count alike in a stretch's mean.
    """
    at_us, value, minimum, maximum = series.at_us, series.value, series.minimum, series.maximum
    known = ~np.isnan(value)
    if not known.all():
        at_us, value, minimum, maximum = at_us[known], value[known], minimum[known], maximum[known]
    if len(value) > points:
        width = (int(at_us[-1]) - int(at_us[0])) // points + 1
        stretch = (at_us - at_us[0]) // width
        begins = np.flatnonzero(np.concatenate(([True], stretch[1:] != stretch[:-1])))
        ends = np.concatenate((begins[1:], [len(value)]))
        with np.errstate(invalid="ignore"):  # plus and minus infinity in one stretch have no mean
            value = np.add.reduceat(value, begins) / (ends - begins)
        at_us = (at_us[begins] + at_us[ends - 1]) // 2
        minimum, maximum = np.minimum.reduceat(minimum, begins), np.maximum.reduceat(maximum, begins)
    return Series(source=series.source, at_us=at_us, value=value, minimum=minimum, maximum=maximum)
