"""What the last good backup of a set saved, for the server's coverage: said when it changes, and now and then again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from probes.declaration import Afterwards, Item, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from probes.visit import Visit

AGAIN_SECONDS: Final = 3600.0
COVERS: Final = Item(
    key="backup.covers", unit="", type="structured", parameter="set",
    description="Which databases, file systems and machines the last good backup saved",
)  # fmt: skip


def covers_readings(visit: Visit, name: str, good: Mapping[str, Any]) -> Iterator[Reading | Afterwards]:
    """Yield it unless it was said within the hour; an empty document where the run did not write it down."""
    covers = good.get("covers")
    text = json.dumps(covers if isinstance(covers, dict) else {})
    last = visit.kept.get(f"covers {name}")
    if isinstance(last, tuple) and last[0] == text and visit.at - last[1] < AGAIN_SECONDS:
        return
    yield Reading(COVERS.key, text, name)
    said = (text, visit.at)
    yield Afterwards(lambda: visit.kept.__setitem__(f"covers {name}", said))
