"""The agent of benchmarks.agent: the real one, with ten probes of ten items each that read real kernel files."""

from __future__ import annotations

import agent.lean  # noqa: F401 - first: it decides what asyncio loads  # isort: skip
import sys
from functools import cache
from typing import TYPE_CHECKING, Final

from agent.__main__ import main
from probes.declaration import Item, Reading, probe
from probes.registry import find_probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.declaration import NoParameters, Probe, Visit

FILES: Final = ("vmstat", "meminfo")
PROBES: Final = 10
ITEMS: Final = 10


@cache
def find(name: str) -> Probe | None:
    """Return the probe `bench0` … `bench9`, or one of the product's."""
    if not name.startswith("bench"):
        return find_probe(name)
    number = int(name.removeprefix("bench"))
    items = [Item(key=f"{name}.line{line}", unit="", description="a line of a proc file") for line in range(ITEMS)]

    @probe(name, items=items)
    def read(visit: Visit, _parameters: NoParameters) -> Iterator[Reading]:
        lines = visit.text(FILES[number % len(FILES)]).splitlines()
        for place, item in enumerate(items):
            yield Reading(item.key, float(lines[number // 2 * ITEMS + place].split()[1]))

    return read


if __name__ == "__main__":
    sys.exit(main(find=find))
