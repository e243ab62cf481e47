"""A state file: one JSON table with a form, replaced whole and durable, for probes, agents and whoever looks."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import WorkFailed
from backup.runtime.durable import flocked, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_MOST_BYTES: Final = 1 << 20
_LOCK_SECONDS: Final = 60.0


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
        self.change(lambda _: changes)

    def change(self, decide: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """Lay over what was written last what `decide` makes of it; nobody else writes meanwhile. Raises WorkFailed."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                known = self.read()
                write_durably(self._file, self._text({**self._empty, **known, **decide(known)}), mode=0o644)
        except OSError as error:
            raise WorkFailed(f"{self._file} cannot be written: {error.strerror}") from error

    def _text(self, table: Mapping[str, Any]) -> str:
        text = json.dumps({"form": self._form, **table, "written_at": datetime.now(UTC).isoformat()}, indent=1) + "\n"
        if len(text) > _MOST_BYTES:
            raise WorkFailed(
                f"{self._file} is not written: its {len(text)} bytes are more than the {_MOST_BYTES} it may have"
            )
        return text

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder's lock: it needs no file of its own, which another account of this machine could not open.

        Raises WorkFailed when somebody else has it for too long, OSError.
        """
        descriptor = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not flocked(descriptor, _LOCK_SECONDS):
                raise WorkFailed(
                    f"{self._file} is not written: for {_LOCK_SECONDS:g} s another process has held its folder;"
                    " is the disk stuck?"
                )
            yield
        finally:
            os.close(descriptor)
