"""What reading a set needs, opened together: its target, the keys of this machine, its restore points.

A restore station has decryption keys; a host has its own signing pair and a pruner public keys, which is enough to list
and to compare.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.catalogue import read_catalogue, sets_at
from backup.engine.command import Workplace
from backup.errors import (
    DestinationInUse,
    KeyMissing,
    KeyWrong,
    NoRestorePoint,
    ObjectMissing,
    TargetAway,
    TargetRefused,
    unnamed,
)
from backup.keys.ring import KeyRing
from backup.model import Place
from backup.runtime.private_folder import private_folder
from backup.targets.registry import open_target
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.catalogue import Catalogue
    from backup.errors import BackupError
    from backup.model import Manifest
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.targets.contract import Target

log = Log("bkp")

UNREACHED: Final = (TargetAway, TargetRefused, ObjectMissing)
"""What makes one target of several be passed over."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One set as this machine can read it, at one of its targets. `can_decrypt`: it has a station's keys.

    others: the set's other targets, the one to go on at first.
    """

    settings: BackupSettings
    chosen: SetSettings
    place: Place
    target: Target
    ring: KeyRing
    can_decrypt: bool
    others: tuple[str, ...] = ()

    def catalogue(self) -> Catalogue:
        """Read the set's restore points from the target, which takes a request a point."""
        return read_catalogue(self.target, self.place, self.ring)

    def points(self) -> Catalogue:
        """Return the catalogue of a set that was asked for by name. Raises NoRestorePoint naming those there are."""
        if not self.target.files(self.place.points):
            there = ", ".join(f"{host}/{name}" for host, name in sets_at(self.target)) or "no set at all"
            raise NoRestorePoint(
                f"there is no restore point of {self.place.host}/{self.place.set} at target {self.chosen.target!r},"
                f" which has {there}: `bkp list` shows more of them"
            )
        return self.catalogue()

    def demand_station(self) -> None:
        """Return when this machine has a station's keys. Raises KeyMissing."""
        if not self.can_decrypt:
            raise KeyMissing(
                "this machine has no decryption key: use the restore station's configuration, or name the key folder"
                " with --key"
            )

    def demand_decryption(self, manifest: Manifest) -> None:
        """Return when what `manifest` speaks of can be decrypted here, within seconds and without a prompt.

        Raises KeyMissing, KeyWrong, PassphraseMissing, PassphraseWrong.
        """
        self.demand_station()
        keys = {key.fingerprint: key for key in self.ring.decryption_keys()}
        fitting = [keys[each] for each in manifest.recipients if each in keys]
        if not fitting:
            raise KeyWrong(
                f"it is encrypted to {', '.join(manifest.recipients)}; the keys here are {', '.join(sorted(keys))}."
                " Bring the right key from its safekeeping: bkp key import SHEET"
            )
        self.ring.check_passphrase(fitting[0])


def ring_of(settings: BackupSettings) -> KeyRing:
    """Return the keys of this machine's role. Raises KeyMissing, KeyBusy."""
    keys = settings.keys
    if keys.station is not None:
        return KeyRing(keys.station, keys.station_passphrase_file)
    if settings.pruner is not None:
        return KeyRing(settings.pruner.keys, settings.pruner.keys.with_name("none"))  # it has no secret to open
    return KeyRing(keys.host, keys.host_passphrase_file)


@contextmanager
def open_station(settings: BackupSettings, chosen: SetSettings) -> Iterator[Station]:
    """Open a set for reading; one with copies at the target with its newest restore point, the first of equals.

    Talks to no target yet when the set has only one; else says where it reads when that is not the first. Raises
    ConfigInvalid, KeyMissing, KeyBusy; what the first target raised when none of several can be read.
    """
    with ring_of(settings) as ring:
        name, *others = _in_order(settings, chosen, ring) if chosen.also else chosen.targets
        with _at(settings, chosen.at_target(name), ring, tuple(others)) as station:
            yield station


@contextmanager
def elsewhere(station: Station, name: str) -> Iterator[Station]:
    """Open the same set at another of its targets."""
    with _at(station.settings, station.chosen.at_target(name), station.ring) as other:
        yield other


def _in_order(settings: BackupSettings, chosen: SetSettings, ring: KeyRing) -> list[str]:
    """Return the names of a set's targets: by the newest restore point, those that cannot be read last."""
    newest: dict[str, datetime] = {}
    troubles: list[BackupError] = []
    for name in chosen.targets:
        try:
            with _at(settings, chosen.at_target(name), ring) as station:
                catalogue = station.catalogue()
        except UNREACHED as error:
            troubles.append(error)
            say(f"target {name!r} of set {chosen.name!r} cannot be read: {unnamed(name, error)}")
        else:
            newest[name] = catalogue.latest(catalogue.whole).at if catalogue.whole else _NEVER
    if not newest:
        raise troubles[0]
    found = sorted(newest, key=lambda each: newest[each], reverse=True)  # stable: the first of equals stays first
    if found[0] != chosen.target:
        say(f"set {chosen.name!r} is read from target {found[0]!r}: its newest restore point is there")
    return [*found, *(name for name in chosen.targets if name not in newest)]


def say(words: str) -> None:
    """Tell whoever restores; `bkp` shows the words of a warning, and no fields."""
    log.warning(words)


@contextmanager
def _at(
    settings: BackupSettings, chosen: SetSettings, ring: KeyRing, others: tuple[str, ...] = ()
) -> Iterator[Station]:
    with open_target(settings.find_target(chosen.target)) as target:
        yield Station(
            settings=settings,
            chosen=chosen,
            place=Place(host=settings.host_of(chosen), set=chosen.name),
            target=target,
            ring=ring,
            can_decrypt=settings.keys.station is not None,
            others=others,
        )


@contextmanager
def scratch_workplace(settings: BackupSettings) -> Iterator[Workplace]:
    """An empty cache and room for temporary files, private, gone at the end: what is decrypted there does not stay.

    Raises DestinationInUse when the work folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            settings.work.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = stack.enter_context(private_folder(settings.work, ".reading-"))  # no set is called so
            for part in ("cache", "temporary"):
                (folder / part).mkdir(mode=0o700)
        except OSError as error:
            raise DestinationInUse(
                f"{settings.work} cannot be written ({error.strerror}): name another folder as `work` in the"
                " configuration, or with --work"
            ) from error
        yield Workplace(cache=folder / "cache", temporary=folder / "temporary")
