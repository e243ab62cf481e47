"""The lists of sets that the agent leaves for its probes: which there are, and what is wanted of them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.backups.attempts import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def list_sets(
    file: Path, state: Path, entries: Sequence[dict[str, Any]], key: str, now: datetime
) -> dict[str, datetime]:
    """Write the list; return since when each set is known here, by its name, which entries have as `key`.

    `state` is where the states of the sets lie. Raises OSError.
    """
    known = {str(entry[key]): str(entry["since"]) for entry in read_json(file).get("sets", [])}
    since = {str(entry[key]): known.get(str(entry[key]), now.isoformat()) for entry in entries}
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_table(
        file, {"state": str(state), "sets": [{**entry, "since": since[str(entry[key])]} for entry in entries]}
    )
    return {name: datetime.fromisoformat(at) for name, at in since.items()}


def replace_table(file: Path, table: dict[str, Any]) -> None:
    """Replace a JSON file, whole or not at all. Raises OSError."""
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(table, indent=1) + "\n")
    draft.replace(file)
