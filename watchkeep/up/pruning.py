"""Runs the local installation's pruner once a day, as a process of its own: `bkp prune`, with its own configuration."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NoReturn

from backup.schedule import parse_schedule
from backup.settings.document import read_settings
from core.runtime.logging import Log
from watchkeep.up.children import Child, own_process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = Log("up")

SCHEDULE: Final = "daily 04:30"
SETTLING: Final = timedelta(minutes=15)  # a starting machine saves first
LIMIT_SECONDS: Final = 3600.0
_LOOK_SECONDS: Final = 600.0
_MOST_BYTES: Final = 1 << 20


def pruning_due(last: datetime | None, started_at: datetime, now: datetime) -> datetime:
    """Return when to prune next: at the schedule's instant; what was missed, some time after the start."""
    schedule = parse_schedule(SCHEDULE)
    due_at, next_at = schedule.last_due(now), schedule.next_due(now)
    if due_at is None or next_at is None:
        raise ValueError(f"{SCHEDULE!r} is never due")
    if last is None or last < due_at or last > now:  # of the future: a clock was wrong
        return max(due_at, started_at + SETTLING)
    return next_at


async def keep_pruned(config: Path, prefix: Sequence[str], log_file: Path) -> NoReturn:
    """Prune whenever it is due, until cancelled; a prune that is under way then is ended in order.

    `config` is the pruner's backup.toml; `prefix` drops root. One that fails is logged and waits for its next day.
    Raises ConfigInvalid at once when `config` cannot be read.
    """
    state = read_settings(config).state / "prune.json"
    started_at = datetime.now(UTC)
    tried_at: datetime | None = None
    while True:
        now = datetime.now(UTC)
        # What is of the future is left out before the newest is taken: a try of just now counts beside it.
        known = [at for at in (tried_at, _pruned_at(state)) if at is not None and at <= now]
        wait = (pruning_due(max(known, default=None), started_at, now) - now).total_seconds()
        if wait > 0:
            await asyncio.sleep(min(wait, _LOOK_SECONDS))
            continue
        tried_at = datetime.now(UTC)
        await _prune(config, prefix, log_file)


async def _prune(config: Path, prefix: Sequence[str], log_file: Path) -> None:
    program = (sys.executable, "-m", "backup.command", "prune", "--yes", "--config", str(config))
    child = Child(name="pruner", arguments=own_process(prefix, *program), log_file=log_file)
    try:
        await child.start()
        if child.process is not None:
            async with asyncio.timeout(LIMIT_SECONDS):
                code = await child.process.wait()
            if code != 0:
                log.warning("old backups could not be deleted", code=code, log=log_file)
    except (OSError, TimeoutError) as error:
        log.warning("old backups could not be deleted", error=str(error) or "it took too long", log=log_file)
    finally:
        await child.stop()


def _pruned_at(state: Path) -> datetime | None:
    """Return when the pruner last wrote down how it went; None when that is not known."""
    try:
        with state.open("rb") as file:
            return datetime.fromisoformat(json.loads(file.read(_MOST_BYTES))["written_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
