"""What the agent leaves for the probe `backup`: which sets there are, what waits, what runs do, answers to orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.backups.attempts import read_json
from agent.backups.lists import list_sets, replace_table
from backup.runtime.waiting import write_waiting
from backup.schedule import parse_schedule
from core.runtime.logging import Log
from probes.backup import RUNS_FILE, SETS_FILE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from pathlib import Path

    from agent.backups.orders import OrderBook
    from agent.backups.places import Claim
    from agent.backups.turns import Running
    from backup.settings.document import BackupSettings

log = Log("agent")


class BackupTeller:
    """Writes the files in `folder`; the one of runs only when it changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: dict[str, Any] | None = None
        self._told_waiting: dict[str, Any] | None = None  # what an agent before this one said is taken away

    def remembered(self) -> dict[str, Any]:
        """Return what an agent before this one told of runs."""
        return read_json(self._folder / RUNS_FILE)

    def list_sets(self, settings: BackupSettings, now: datetime) -> None:
        """Tell which sets there are, and what their schedules want. Raises OSError."""
        entries = []
        for each in settings.sets:
            period = parse_schedule(each.schedule).period
            entries.append(
                {
                    "name": each.name,
                    "period_seconds": None if period is None else period.total_seconds(),
                    "window": each.window,
                    "lose_at_most_seconds": None if each.lose_at_most is None else each.lose_at_most.total_seconds(),
                }
            )
        list_sets(self._folder / SETS_FILE, settings.state, entries, "name", now)

    def tell(
        self,
        *,
        waiting: Mapping[str, datetime],
        running: Mapping[str, Running],
        claims: Mapping[str, Claim],
        unplaced: Collection[str],
        book: OrderBook,
        state: Path,
    ) -> None:
        """Tell which sets wait, what runs do, what became of orders; a disk in the way is logged.

        `state` is where `bkp status` looks.
        """
        claimed = {name: claim.table for name, claim in claims.items()}
        told = {
            "waiting": {name: since.isoformat() for name, since in waiting.items()},
            "claims": claimed,
            "unplaced": sorted(unplaced),
            "phases": {name: each.phase for name, each in running.items()},
            "orders": book.table,
        }
        if told == self._told:
            return
        try:
            replace_table(self._folder / RUNS_FILE, told)
            if claimed != self._told_waiting:
                write_waiting(state, claimed)
                self._told_waiting = claimed
        except OSError as error:
            log.error("How the backups stand cannot be written down", folder=self._folder, error=error)
        else:
            self._told = told
