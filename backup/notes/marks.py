"""Marks: what is being read, said where the pruner looks before it deletes.

A reader's credentials at the backups' own target may be read-only, so marks lie at a place of their own (`[marks]` in
backup.toml: a folder both reach, a container the station may write to) as `HOST/SET/NAME.json`. A mark ends by itself
at an instant, so that a reader that died holds nothing up for ever.

Why nothing is deleted under a reader: the reader writes its mark and then looks whether the manifest it goes by is
still there; the pruner removes a chain's manifests and then looks for marks, before it removes anything that is read.
Whichever comes second sees the other.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from backup.errors import BackupError, NoRestorePoint, ObjectMissing, TargetAway, TargetRefused
from backup.model import instant_name, read_instant
from backup.spelling import shown
from backup.targets.registry import open_target
from backup.targets.small import parse_instant, parse_table, plain_text, read_start
from backup.when import local
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backup.model import Manifest, Place
    from backup.settings.target import TargetSettings
    from backup.station.station import Station
    from backup.targets.contract import DeletingTarget, Target

log = Log("bkp")

_FORM: Final = "watchkeep-mark-1"
_ENDING: Final = ".json"
_SKEW: Final = timedelta(minutes=15)  # between the clocks of reader and pruner
_KEPT: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What somebody reads, or read until `until`. chains: None when it cannot be told, so it may be any."""

    name: str
    chains: tuple[str, ...] | None
    said: str
    until: datetime | None

    def holds(self, chain: str, now: datetime) -> bool:
        """Whether it keeps a chain from being deleted now."""
        return (self.chains is None or chain in self.chains) and (self.until is None or now - _SKEW <= self.until)


class Marking:
    """A mark of our own; `renew` it at every step of work whose length nobody knows."""

    def __init__(self, place: TargetSettings | None, name: str, chains: Iterable[str], doing: str) -> None:
        self._place, self._name = place, name
        self._chains, self._doing = sorted(set(chains)), doing
        self._seconds = 0.0
        self._written_at = 0.0

    def write(self, seconds: float) -> None:
        """Say that the reading goes on for so long at most. Raises what the place raises."""
        self._seconds = seconds
        self._put(seconds)

    def renew(self) -> None:
        """Say it anew when a tenth of the time has passed; a place that does not answer is told, once a step."""
        if self._place is not None and time.monotonic() - self._written_at > self._seconds / 10:
            self._try(self._seconds)

    def end(self) -> None:
        """Say that it is over: whoever may only write cannot take a mark away."""
        self._try(0.0)

    def _try(self, seconds: float) -> None:
        try:
            self._put(seconds)
        except BackupError as error:
            log.warning("The mark of what is read could not be written: see `bkp doctor`", error=error)

    def _put(self, seconds: float) -> None:
        if self._place is None:
            return
        until = datetime.now(UTC) + (timedelta(seconds=seconds) if seconds else -_SKEW)
        table = {
            "form": _FORM,
            "chains": self._chains,
            "said": f"{self._doing} by {socket.gethostname()}, process {os.getpid()}",
            "until": until.isoformat(),
        }
        with open_target(self._place) as target:
            target.reach()
            target.write(self._name, (json.dumps(table, indent=1) + "\n").encode())
        self._written_at = time.monotonic()


@contextmanager
def reading(station: Station, manifests: Iterable[Manifest], doing: str) -> Iterator[Marking]:
    """Mark the chains of these manifests for as long as this lasts, at most the set's time limit between renewals.

    A mark that cannot be written stops nobody who restores: it is told, and the pruner's grace has to do. Raises
    NoRestorePoint when a chain is being deleted already.
    """
    newest = {each.chain: each for each in sorted(manifests, key=lambda each: each.at)}
    place = station.settings.marks
    name = f"{station.place.host}/{station.place.set}/{instant_name(datetime.now(UTC))}-{os.getpid()}-{doing}{_ENDING}"
    marking = Marking(place, name, newest, doing)
    if place is None or not newest:
        yield marking
        return
    try:
        marking.write(station.chosen.time_limit.total_seconds())
    except BackupError as error:
        log.warning("What is read could not be marked, so a pruner may delete it: see `bkp doctor`", error=error)
        yield marking
        return
    try:
        for manifest in newest.values():
            _demand_there(station.target, station.place, manifest)
        yield marking
    finally:
        marking.end()


def _demand_there(target: Target, place: Place, manifest: Manifest) -> None:
    try:
        target.stat(f"{place.points}/{manifest.name}")
    except (TargetAway, TargetRefused):
        return  # whoever reads finds that too, and knows what to do then
    except ObjectMissing as error:
        raise NoRestorePoint(
            f"the restore point of {local(manifest.at)} is being deleted by retention: `bkp list` shows what stays"
        ) from error


def read_marks(target: Target, place: Place) -> list[Mark]:
    """Return what readers say of a set. A mark that cannot be understood speaks for every chain."""
    folder = f"{place.host}/{place.set}"
    return [_read(target, folder, name) for name in sorted(target.files(folder)) if name.endswith(_ENDING)]


def clear_marks(target: DeletingTarget, place: Place, now: datetime) -> None:
    """Remove marks that ended long ago."""
    for mark in read_marks(target, place):
        if mark.until is not None and mark.until < now - _KEPT:
            target.delete(f"{place.host}/{place.set}/{mark.name}")


def _read(target: Target, folder: str, name: str) -> Mark:
    try:
        table = parse_table(read_start(target, f"{folder}/{name}"), _FORM)
        return Mark(
            name=name,
            chains=tuple(instant_name(read_instant(each)) for each in table["chains"]),
            said=plain_text(table["said"]),
            until=parse_instant(table["until"]),
        )
    except ObjectMissing:
        return Mark(name=name, chains=(), said="", until=None)
    except (ValueError, KeyError, TypeError) as error:
        said = f"the mark {shown(name)} cannot be understood ({error}); remove it by hand when nobody reads"
        return Mark(name=name, chains=None, said=said, until=None)
