"""Values like those hosts send: counters, gauges, constants, percentages, every ten seconds with an agent's jitter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Random = np.random.Generator
    Column = NDArray[np.float64]

INTERVAL_SECONDS: Final = 10.0
ITEMS_A_HOST: Final = 100
JITTER_SECONDS: Final = 0.0008
"""How late a loop wakes up on an idle machine, about; one time in a hundred it is some 20 ms."""


def instants(random: Random, count: int) -> NDArray[np.int64]:
    """Return one host's instants, µs from the first round on; all items of a round have the same."""
    late = np.abs(random.normal(JITTER_SECONDS, JITTER_SECONDS, count))
    late[random.random(count) < 0.01] += random.exponential(0.02)
    return ((np.arange(count) * INTERVAL_SECONDS + late) * 1e6).astype(np.int64)


def _bytes_counter(random: Random, count: int) -> Column:
    return np.floor(1e10 + np.cumsum(random.gamma(4, 25_000, count) * INTERVAL_SECONDS))


def _events_counter(random: Random, count: int) -> Column:
    return 1e6 + np.cumsum(random.poisson(400, count)).astype(np.float64)


def _idle_counter(random: Random, count: int) -> Column:
    return 1e6 + np.cumsum(random.random(count) < 0.02).astype(np.float64)


def _constant(random: Random, count: int) -> Column:
    return np.full(count, np.floor(random.random() * 1e11))


def _state(_: Random, count: int) -> Column:
    return np.ones(count)


def _bytes_gauge(random: Random, count: int) -> Column:
    pages = np.floor((8e9 + np.cumsum(random.normal(0, 2e6, count))) / 4096)
    return pages * 4096


def _load(random: Random, count: int) -> Column:
    load: Column = np.abs(1 + np.cumsum(random.normal(0, 0.05, count)))
    return load.round(2)


def _share(random: Random, count: int) -> Column:
    """Return a percentage of processor time as the kernel's ticks give it, unrounded."""
    whole = np.floor(INTERVAL_SECONDS * 400 + random.normal(0, 3, count))
    busy = np.floor(whole * np.clip(0.2 + np.cumsum(random.normal(0, 0.01, count)), 0.01, 1))
    share: Column = 100 * busy / whole
    return share


def _percentage(random: Random, count: int) -> Column:
    return np.round(_share(random, count), 1)


def _used(random: Random, count: int) -> Column:
    """Return a filesystem's filling: moves seldom, unrounded."""
    return 100 * (12_207_031 + np.cumsum(random.poisson(0.3, count))) / 24_414_061.0


def _rate(random: Random, count: int) -> Column:
    """Return a rate by the exact time that passed: no two digits in common."""
    return random.gamma(4, 25_000, count) / (INTERVAL_SECONDS + random.normal(0, 0.001, count))


def _seconds(random: Random, count: int) -> Column:
    return np.round(random.gamma(3, 0.004, count), 6)


def _temperature(random: Random, count: int) -> Column:
    return np.round(45 + np.cumsum(random.normal(0, 0.3, count)))


KINDS: Final[dict[str, Callable[[Random, int], Column]]] = {
    "counter of bytes": _bytes_counter,
    "counter of events": _events_counter,
    "idle counter": _idle_counter,
    "constant": _constant,
    "state": _state,
    "gauge of bytes": _bytes_gauge,
    "load, two decimals": _load,
    "share, unrounded": _share,
    "percentage, one decimal": _percentage,
    "filling, unrounded": _used,
    "rate, unrounded": _rate,
    "seconds, six decimals": _seconds,
    "temperature": _temperature,
}
"""In turn, an item each: a host's hundred items have some eight of every kind."""


def kind_of(item: int) -> str:
    """Return the kind of values of an item by its place on its host."""
    names = list(KINDS)
    return names[item % len(names)]


def host(random: Random, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (instants int64[count], values float64[ITEMS_A_HOST, count]) of one host."""
    values = [KINDS[kind_of(item)](random, count) for item in range(ITEMS_A_HOST)]
    return instants(random, count), np.stack(values)
