"""One run under way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from backup.engine.progress import Progress
from backup.model import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from backup.model import RunRecord
    from backup.saving.journal import Journal
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.sources.contract import Source


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One run under way: what it is to do, and its record, which is on disk at every step."""

    settings: BackupSettings
    chosen: SetSettings
    source: Source
    journal: Journal
    record: RunRecord
    is_full_asked: bool
    on_progress: Callable[[Progress], None] | None
    counts_ahead: bool
    is_anew: bool = False
    restore_points: int | None = None
    vanished: list[dict[str, Any]] | None = None
    reminders: list[str] | None = None
    key_expires_at: datetime | None = None

    @property
    def place(self) -> Place:
        """Where the set lies at its target."""
        return Place(host=self.settings.host_of(self.chosen), set=self.chosen.name)

    def note(self, **changes: Any) -> None:
        """Change the record and put it on disk."""
        self.record = replace(self.record, **changes)
        self.journal.write(self.record)

    def phase(self, phase: str, stored_bytes: int = 0) -> None:
        """Say what is being done."""
        if self.on_progress is not None:
            self.on_progress(Progress(phase=phase, stored_bytes=stored_bytes))
