"""Thins a series to what a graph can show, keeping its peaks; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.store.trend_series import TrendSeries


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Columns of one length: `at_ms` int64 since 1970 UTC, rising; `value`, `minimum`, `maximum` float64."""

    at_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]


def thin(at_us: NDArray[np.int64], values: NDArray[np.float64], points: int) -> Series:
    """Reduce a series (`at_us` rising) to at most `points` stretches of equal time, each with mean, least and greatest.

    A series that is short enough comes out as it is. Stretches without a value are left out, so gaps stay gaps; each
    stands at the middle between its first and last instant. Values that are not numbers count for nothing.
    """
    known = ~np.isnan(values)
    if not known.all():
        at_us, values = at_us[known], values[known]
    if len(values) <= points:
        return Series(at_ms=at_us // 1000, value=values, minimum=values, maximum=values)
    width = (int(at_us[-1]) - int(at_us[0])) // points + 1
    stretch = (at_us - at_us[0]) // width
    begins = np.flatnonzero(np.concatenate(([True], stretch[1:] != stretch[:-1])))
    ends = np.concatenate((begins[1:], [len(values)]))
    with np.errstate(invalid="ignore"):  # plus and minus infinity in one stretch have no mean
        mean = np.add.reduceat(values, begins) / (ends - begins)
    return Series(
        at_ms=(at_us[begins] + at_us[ends - 1]) // 2 // 1000,
        value=mean,
        minimum=np.minimum.reduceat(values, begins),
        maximum=np.maximum.reduceat(values, begins),
    )


def thin_trends(trends: TrendSeries, points: int) -> Series:
    """Reduce hourly trends likewise; hours count alike in a stretch's mean."""
    mean = thin(trends.at_us, trends.average, points)
    return Series(
        at_ms=mean.at_ms,
        value=mean.value,
        minimum=thin(trends.at_us, trends.minimum, points).minimum,
        maximum=thin(trends.at_us, trends.maximum, points).maximum,
    )
