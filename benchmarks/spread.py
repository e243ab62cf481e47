"""Several runs of one measurement as one: the median of every figure, and beside it the least and the greatest."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def medians(runs: Sequence[Any]) -> Any:
    """Return what the runs found, of the same form; each number is their median, anything else the first run's."""
    first = runs[0]
    if isinstance(first, dict):
        return {name: medians([run[name] for run in runs]) for name in first}
    if isinstance(first, int | float) and not isinstance(first, bool):
        middle = statistics.median(runs)
        return round(middle) if all(isinstance(run, int) for run in runs) else round(middle, 4)
    return first


def spreads(runs: Sequence[Any]) -> dict[str, list[float]]:
    """Return the least and the greatest of every number that differs between the runs, by its dotted name."""
    found: dict[str, list[float]] = {}

    def look(name: str, values: Sequence[Any]) -> None:
        if isinstance(values[0], dict):
            for key in values[0]:
                look(f"{name}.{key}" if name else str(key), [value[key] for value in values])
        elif isinstance(values[0], int | float) and not isinstance(values[0], bool) and len(set(values)) > 1:
            found[name] = [min(values), max(values)]

    look("", runs)
    return found


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of the runs; of several also how many there were, and their spread."""
    if len(runs) == 1:
        return runs[0]
    return {**medians(runs), "runs": len(runs), "spread": spreads(runs)}


def print_spread(found: dict[str, Any]) -> None:
    """Print the spread, if there is one."""
    if "spread" in found:
        print(f"spread of {found['runs']} runs, least to greatest; above are medians")
        for name, (least, greatest) in found["spread"].items():
            print(f"  {name:58} {least:>14,.6g} {greatest:>14,.6g}")
