"""A state file: one JSON table with a form, replaced whole and durable, for probes, agents and whoever looks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import WorkFailed
from backup.saving.journal import write_durably

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST_BYTES: Final = 1 << 20


class StateFile:
    """The state of one set in `file`. `empty`: what a table has that nothing was written to yet."""

    def __init__(self, file: Path, form: str, empty: Mapping[str, Any]) -> None:
        self._file, self._form, self._empty = file, form, empty

    def read(self) -> dict[str, Any]:
        """Return what was written last; empty when there is nothing that can be read."""
        try:
            with self._file.open("rb") as file:
                found = json.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.get("form") == self._form else {}

    def write(self, changes: Mapping[str, Any]) -> None:
        """Lay `changes` over what was written last. Raises WorkFailed, also for more than could be read again."""
        written_at = datetime.now(UTC).isoformat()
        table = {"form": self._form, **self._empty, **self.read(), **changes, "written_at": written_at}
        text = json.dumps(table, indent=1) + "\n"
        if len(text) > _MOST_BYTES:
            raise WorkFailed(
                f"{self._file} is not written: its {len(text)} bytes are more than the {_MOST_BYTES} it may have"
            )
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._file, text, mode=0o644)
        except OSError as error:
            raise WorkFailed(f"{self._file} cannot be written: {error.strerror}") from error
