"""What `bkp doctor` says of drills: whether there are any, and whether what they need is here."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from backup.errors import DrillFailed
from backup.proof.server_programs import programs_here, server_for_dump
from backup.proof.versions import POSTGRESQL
from backup.schedule import parse_schedule

if TYPE_CHECKING:
    from backup.settings.document import BackupSettings

REMEDY = "give [drills] a schedule and name the sets, then `drills` in the agent's configuration (docs/backup-proof.md)"


def examine_drills(settings: BackupSettings) -> str:
    """Return in words how this station drills. Raises DrillFailed saying what is missing."""
    drilled = [
        each.name for each in settings.sets if parse_schedule(each.drill or settings.drills.schedule).period is not None
    ]
    if not drilled:
        raise DrillFailed("no set is restored and checked on a schedule, so nobody knows whether restoring works")
    if find_spec("numpy") is None:
        raise DrillFailed("numpy is not installed, without which no file is compared: pip install 'watchkeep[drills]'")
    named = settings.drills.postgresql_programs
    server_for_dump(POSTGRESQL, named, None)
    here = {POSTGRESQL.series(each.version) for each in programs_here(POSTGRESQL, named)}
    versions = ", ".join(str(number) for number, *_ in sorted(here, reverse=True))
    return f"{', '.join(drilled)}; databases can be proven in PostgreSQL {versions}"
