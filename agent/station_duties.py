"""What the agent of a restore station does with each set when it is due: drills, and verifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backup.settings.verification import FOLDER as VERIFICATIONS_FOLDER
from probes.drill import DRILLS_FILE
from probes.verification import VERIFICATIONS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One kind of work that is due by a schedule.

    entry: what the states in `folder`, below the station's own, call the last one. list_file: where the probe finds
    what is wanted of each set. arguments: of `bkp`, before the set's name. begins, done, failed: what is logged.
    """

    name: str
    entry: str
    folder: str
    list_file: str
    begins: str
    done: str
    failed: str
    schedule: Callable[[BackupSettings, SetSettings], str]
    wanted: Callable[[BackupSettings, SetSettings], dict[str, Any]]
    arguments: Callable[[BackupSettings], list[str]]
    time_limit: Callable[[BackupSettings], timedelta]


def _wanted_of_drill(_settings: BackupSettings, chosen: SetSettings) -> dict[str, Any]:
    within = chosen.restore_within
    return {"within_seconds": None if within is None else within.total_seconds()}


def _wanted_of_verification(settings: BackupSettings, chosen: SetSettings) -> dict[str, Any]:
    return {"depth": settings.verification.step, "targets": list(chosen.targets)}


def _verifying(settings: BackupSettings) -> list[str]:
    sample = settings.verification.sample
    return ["verify", "--depth", settings.verification.depth, *(["--sample", sample] if sample else [])]


DRILL: Final = Duty(
    name="drill",
    entry="last_drill",
    folder="drills",
    list_file=DRILLS_FILE,
    begins="A drill starts",
    done="A drill has proven its set",
    failed="A drill failed",
    schedule=lambda settings, chosen: chosen.drill or settings.drills.schedule,
    wanted=_wanted_of_drill,
    arguments=lambda settings: ["drill"],  # noqa: ARG005 - as the other's
    time_limit=lambda settings: settings.drills.time_limit,
)
VERIFICATION: Final = Duty(
    name="verification",
    entry="last_verification",
    folder=VERIFICATIONS_FOLDER,
    list_file=VERIFICATIONS_FILE,
    begins="A verification starts",
    done="A verification has found its set whole",
    failed="A verification failed",
    schedule=lambda settings, chosen: chosen.verify or settings.verification.schedule,
    wanted=_wanted_of_verification,
    arguments=_verifying,
    time_limit=lambda settings: settings.verification.time_limit,
)
DUTIES: Final = (DRILL, VERIFICATION)
