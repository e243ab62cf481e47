"""How retention went at a pruner: what the last `bkp prune` wrote down, with its age as of now."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Item, ProbeFailedError, Reading, Visit, probe
from probes.state_files import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE_FILE: Final = "prune.json"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Where the pruner's state lies."""

    folder: Path | None = field(
        default=None,
        metadata=setting("the pruner's `state` folder; none: the agent's own, where a pruner beside it may write"),
    )


def _item(key: str, unit: str, description: str, kind: str = "number") -> Item:
    return Item(key=f"pruning.{key}", unit=unit, description=description, type=kind)


@probe(
    "pruning",
    items=(
        _item("age_seconds", "s", "How long ago old backups were last looked through, deleted or not"),
        _item("exit_code", "", "How that went: 0 well, else the exit code of `bkp prune`"),
        _item("chains_deleted", "", "Chains of backups it deleted"),
        _item("freed_bytes", "B", "What it freed at the targets"),
        _item("chains_staying", "", "Chains of backups that stayed"),
        _item("error", "", "What stood in its way first; empty when nothing did", "text"),
    ),
    parameters=Parameters,
    may_block=True,
)
def read_pruning(visit: Visit, parameters: Parameters) -> "Iterator[Reading]":
    """Yield the figures of the last prune; nothing while none has been at an agent's own folder.

    Raises ProbeFailedError when the state cannot be read.
    """
    folder = parameters.folder or visit.folder
    if folder is None or (parameters.folder is None and not (folder / STATE_FILE).exists()):
        return
    file = folder / STATE_FILE
    state = read_table(file)
    try:
        age = (datetime.now(UTC) - datetime.fromisoformat(state["written_at"])).total_seconds()
        yield Reading("pruning.age_seconds", max(0.0, age))
        for name in ("exit_code", "chains_deleted", "freed_bytes", "chains_staying"):
            yield Reading(f"pruning.{name}", float(state[name]))
        yield Reading("pruning.error", str(state["error"] or ""))
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeFailedError(f"{file}: cannot be understood ({error!r})") from error
