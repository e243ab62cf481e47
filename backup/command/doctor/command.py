"""`bkp doctor`: looks at everything a backup or a restore needs here, and says what to do."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from backup.command.doctor.drills import REMEDY, examine_drills
from backup.command.doctor.finding import Finding
from backup.command.doctor.keys import examine_keys
from backup.command.doctor.points import unusable_points
from backup.command.doctor.programs import examine_programs
from backup.command.doctor.sets import examine_set
from backup.command.options import clearing, json_option, settings_of, station_config_option
from backup.command.sets import source_named
from backup.command.telling import size, write_json
from backup.errors import (
    BackupError,
    ConfigInvalid,
    DrillFailed,
    KeyForbidden,
    TargetAway,
    TargetFull,
    TargetRefused,
    unnamed,
)
from backup.pruning.rights import demand_deleting, demand_no_secret
from backup.station.station import ring_of
from backup.targets.disk_mark import DiskMark
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backup.command.doctor.finding import Level
    from backup.settings.document import BackupSettings
    from backup.settings.target import TargetSettings

_EPILOG = """\b
Examples:
  bkp doctor
  bkp doctor --json

Exit codes: 0 all is well, 1 there are warnings, 2 there are faults (a backup or restore would fail).
"""
_LEAST_ROOM = 1 << 30
_EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
_MARKS: dict[Level, tuple[str, str]] = {"ok": ("ok", "green"), "warning": ("!", "yellow"), "fault": ("FAULT", "red")}


@click.command("doctor", epilog=_EPILOG)
@station_config_option
@json_option
@clearing
def doctor(config: Path | None, *, as_json: bool) -> None:
    """Say what is wrong with backups on this machine, and what to do about it."""
    findings = list(examine(settings_of(config), datetime.now(UTC)))
    if as_json:
        write_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.level]
            click.echo(f"{click.style(f'{mark:>5}', fg=colour)}  {finding.what}: {finding.text}")
            if finding.remedy:
                click.echo(f"       do: {finding.remedy}")
    levels = {finding.level for finding in findings}
    raise SystemExit(2 if "fault" in levels else 1 if "warning" in levels else 0)


def examine(settings: BackupSettings, now: datetime) -> Iterator[Finding]:
    """Yield what is found; a fault in one place keeps no other from being looked at."""
    yield from _clock(now)
    yield from examine_programs(settings)
    yield from examine_keys(settings, now)
    for target in settings.targets:
        try:
            with open_target(target) as opened:
                DiskMark(settings, target, opened).demand("SET")
                opened.reach()
                room = opened.room()
        except BackupError as error:
            yield Finding(what=f"target {target.name}", level="fault", text=unnamed(target.name, error),
                          remedy=_remedy(target, error))  # fmt: skip
        else:
            yield judge_room(settings, target, room)
            saves = any(source_named(each) is not None for each in settings.sets)  # a station's disk holds no originals
            if saves and target.folder is not None and target.folder.exists() and settings.work.exists():
                yield from _second_place(target.name, target.folder, settings.work)
    if not settings.targets:
        yield Finding(what="targets", level="fault", text="there is none", remedy="add [[targets]] to backup.toml")
    if settings.marks is not None:
        yield from _try("marks", "mend [marks] in backup.toml, or let this user write there", lambda: _marks(settings))
    if settings.pruner is not None:
        yield from examine_pruner(settings)
    if settings.keys.station is not None:
        yield from _drills(settings)
        yield from _points(settings)
    yield from _work(settings)


def judge_room(settings: BackupSettings, target: TargetSettings, room: int | None) -> Finding:
    """Return what is said of a target that answers: without room for one volume of a set, it takes no backup."""
    what = f"target {target.name}"
    if room is None:
        return Finding(what=what, level="ok", text="answers and knows us")
    saved = [each.volume_size for each in settings.sets if each.sources and target.name in each.targets]
    if room < max(saved, default=0):
        return Finding(what=what, level="fault", text=f"answers and knows us, but only {size(room)} are free",
                       remedy=_remedy(target, TargetFull()))  # fmt: skip
    return Finding(what=what, level="ok", text=f"answers and knows us; {size(room)} free")


def _remedy(target: TargetSettings, error: BackupError) -> str:
    """Return what to do about a target that cannot be used, by its kind and by what is in the way."""
    match error:
        case TargetAway():
            place = {
                "folder": f"mount its disk at {target.folder}",
                "swift": f"look whether {target.auth_url} and the Swift it names are up, and the network",
                "sftp": f"look whether an SSH server answers at {target.address}:{target.port}, and the network",
                "rclone": f"try `rclone lsd {target.remote}`, and look whether the service is up, and the network",
                "s3": f"look whether {target.endpoint_url or 'Amazon'} answers, and the network",
            }
            return place[target.kind]
        case TargetRefused():
            return "mend what it names in the credentials, or have the target's owner give this user its rights"
        case TargetFull():
            return "make room there: bkp prune, or a larger quota"
        case _:
            return "mend its [[targets]] in backup.toml"


def _drills(settings: BackupSettings) -> Iterator[Finding]:
    """A station without drills restores as well as one with: a warning, no fault."""
    try:
        yield Finding(what="drills", level="ok", text=examine_drills(settings))
    except DrillFailed as error:
        yield Finding(what="drills", level="warning", text=str(error), remedy=REMEDY)


def _points(settings: BackupSettings) -> Iterator[Finding]:
    found = False
    for label, text, remedy in unusable_points(settings):
        found = True
        yield Finding(what=label, level="fault", text=text, remedy=remedy)
    if not found:
        yield Finding(what="restore points", level="ok", text="each that the targets have is signed by a known host")


def _clock(now: datetime) -> Iterator[Finding]:
    if now < _EARLIEST:
        yield Finding(
            what="clock",
            level="fault",
            text=f"this machine believes it is {now:%Y-%m-%d}",
            remedy="set the clock: keys would count as not yet valid, restore points lie in the past",
        )
    else:
        yield Finding(what="clock", level="ok", text=f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _marks(settings: BackupSettings) -> str:
    if settings.marks is None:
        raise ConfigInvalid("there are no marks here")
    with open_target(settings.marks) as target:
        target.reach()
    return "what is being read is said where the pruner looks"


def examine_pruner(settings: BackupSettings) -> Iterator[Finding]:
    """Yield what a pruner lacks, and what it holds that it must not."""
    pruner = settings.demand_pruner()
    known: set[str] = set()
    try:
        with ring_of(settings) as ring:
            demand_no_secret(ring, settings.keys.host)
            known = set(ring.signers())
    except BackupError as error:
        remedy = "move it away: who may delete must neither sign nor decrypt" if isinstance(error, KeyForbidden) else (
            "bring the public key of each host: bkp key import FILE --to pruner"
        )  # fmt: skip
        yield Finding(what="pruner's keys", level="fault", text=str(error), remedy=remedy)
    else:
        yield Finding(
            what="pruner's keys", level="ok", text=f"public only; knows {', '.join(sorted(known)) or 'no host'}"
        )
    for target in settings.targets:
        try:
            there = demand_deleting(target)
        except BackupError as error:
            text = f"a pruner has to delete there: {unnamed(target.name, error)}"
            yield Finding(what=f"target {target.name}", level="fault", text=text,
                          remedy="give it credentials that may delete")  # fmt: skip
            continue
        if lost := sorted(there - known):
            yield Finding(what=f"target {target.name}", level="warning",
                          text=f"manifests of {', '.join(lost)} cannot be verified, so nothing of theirs is deleted",
                          remedy="bring their public keys: bkp key import FILE --to pruner")  # fmt: skip
    if pruner.retention.rules.is_empty and not any(each.retention for each in settings.sets):
        yield Finding(what="retention", level="warning", text="there is no rule, so nothing is ever deleted",
                      remedy="say what to keep: [pruner.retention] in backup.toml")  # fmt: skip
    if settings.marks is None:
        yield Finding(what="marks", level="warning",
                      text="whether somebody restores cannot be seen; only the grace keeps a chain in use",
                      remedy="name a place in [marks], here and at the restore station")  # fmt: skip


def _second_place(name: str, folder: Path, work: Path) -> Iterator[Finding]:
    if folder.stat().st_dev == work.stat().st_dev:
        yield Finding(what=f"target {name}", level="warning", text=f"{folder} is on the same disk as what is saved",
                      remedy="a backup is one only in a second place: add a target elsewhere")  # fmt: skip


def _work(settings: BackupSettings) -> Iterator[Finding]:
    existing = settings.work
    while not existing.is_dir():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < _LEAST_ROOM:
        yield Finding(what="work folder", level="warning", text=f"{size(free)} free at {settings.work}",
                      remedy="make room, or name another folder as `work`")  # fmt: skip
    else:
        yield Finding(what="work folder", level="ok", text=f"{size(free)} free at {settings.work}")
    for chosen in settings.sets:
        if chosen.sources:
            yield from examine_set(settings, chosen)


def _try(what: str, remedy: str, look: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding(what=what, level="ok", text=look())
    except BackupError as error:
        yield Finding(what=what, level="fault", text=str(error), remedy=remedy)
