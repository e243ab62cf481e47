"""What the agent says of sets that wait for their place under a limit, for `bkp status`: a file beside the states.

Light: the agent imports it. Who reads it looks whether that agent still lives.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from core.runtime.process import is_alive, own_mark

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE: Final = "waiting"
_MOST_BYTES: Final = 1 << 20


def write_waiting(state: Path, claims: Mapping[str, Mapping[str, Any]]) -> None:
    """Say how sets wait, by name; none: take the file away. Raises OSError."""
    file = state / FILE
    if not claims:
        file.unlink(missing_ok=True)
        return
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = state / f".{FILE}.new"
    draft.write_text(json.dumps({"pid": os.getpid(), "process": own_mark(), "sets": dict(claims)}, indent=1) + "\n")
    draft.replace(file)


def read_waiting(state: Path) -> dict[str, dict[str, Any]]:
    """Return how sets wait, by name; nothing when nobody says so who still lives, or it cannot be read."""
    try:
        with (state / FILE).open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        return dict(found["sets"]) if is_alive(int(found["pid"]), found.get("process")) else {}
    except (OSError, KeyError, TypeError, ValueError):
        return {}
