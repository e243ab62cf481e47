"""Which entries a restore point holds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from backup.browse.signatures import fetch_list, read_changes
from backup.browse.volumes import volumes_of
from backup.cut import parts_with
from backup.engine.names import volume_number
from backup.errors import NotInBackup
from backup.model import Role, in_order
from backup.notes.damage import leave_note
from backup.notes.marks import reading
from backup.spelling import shown
from backup.station.copies import DAMAGES
from backup.station.station import scratch_workplace
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path, PurePosixPath

    from backup.browse.signatures import Change, Entry
    from backup.model import Manifest, RestorePoint, VolumeRecord
    from backup.station.station import Station


class Lists:
    """The lists of files of some runs, fetched when they are first asked for; nothing of them stays afterwards."""

    def __init__(self, station: Station, folder: Path) -> None:
        self._station, self._folder = station, folder
        self._files: dict[tuple[str, str], Path] = {}

    def changes(self, manifest: Manifest) -> Iterator[Change]:
        """Yield what a run found new, changed or gone. Raises ObjectMissing, TargetDiffers, what keys raise."""
        for part in manifest.parts:
            key = (manifest.name, part)
            if key not in self._files:
                self._files[key] = self._fetch(manifest, part, Role.SIGNATURES)
            yield from read_changes(self._files[key], part)

    def volumes(self, manifest: Manifest, path: PurePosixPath) -> list[VolumeRecord]:
        """Return the volumes of a run that may hold something of a path. Raises as `changes` does."""
        wanted: set[tuple[str, int]] = set()
        for part in parts_with(manifest, path):
            listed = self._fetch(manifest, part, Role.MANIFEST)
            wanted |= {(part, number) for number in volumes_of(listed.read_bytes(), path)}
        return [
            each
            for each in manifest.volumes
            if each.role is Role.VOLUME and (each.part, volume_number(each.name)) in wanted
        ]

    def tree(self, manifests: Sequence[Manifest]) -> dict[str, Entry]:
        """Return what there is after these runs, a chain from its full on, by path."""
        found = Tree()
        for manifest in manifests:
            for change in self.changes(manifest):
                found.take(change)
        return found.entries()

    def _fetch(self, manifest: Manifest, part: str, role: Role) -> Path:
        """Bring a list; that it is damaged is noted where it lies."""
        try:
            return fetch_list(self._station, manifest, part, role, self._folder)
        except DAMAGES as error:
            is_of_lists = role is Role.SIGNATURES
            leave_note(self._station, manifest.chain, [str(error)], is_of_lists=is_of_lists)
            raise


class Tree:
    """What there is after the changes that were taken, run by run; a folder that several parts have is the first's."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, Entry]] = {}

    def take(self, change: Change) -> None:
        """Take what a run found at a path."""
        there = self._parts.setdefault(change.part, {})
        if change.entry is None:
            there.pop(change.path, None)
        else:
            there[change.path] = change.entry

    def entries(self) -> dict[str, Entry]:
        """Return all of it by path."""
        if len(self._parts) == 1:
            return dict(*self._parts.values())
        found: dict[str, Entry] = {}
        for part in sorted(self._parts, reverse=True, key=in_order):
            found |= self._parts[part]
        return found


@contextmanager
def open_lists(station: Station, manifests: Sequence[Manifest]) -> Iterator[Lists]:
    """Open the lists of these runs (at least one), which are marked as being read for as long as this lasts.

    Raises NoRestorePoint, and at once what stands in the way of decrypting.
    """
    station.demand_decryption(manifests[-1])
    with reading(station, manifests, "listed"), scratch_workplace(station.settings) as workplace:
        yield Lists(station, workplace.temporary)


def runs_up_to(points: Sequence[RestorePoint], point: RestorePoint) -> list[Manifest]:
    """Return the runs that `point` is made of, its full first."""
    last = point.manifest
    return [
        each.manifest
        for each in points
        if each.manifest.chain == last.chain and each.manifest.position <= last.position and each.broken is None
    ]


def list_files(
    station: Station, points: Sequence[RestorePoint], point: RestorePoint, below: PurePosixPath | None = None
) -> list[Entry]:
    """Return everything in a restore point, or at and below a path: a folder before its content.

    points: all of the set's, `point` among them. Raises NotInBackup, and what keys and target raise.
    """
    manifests = runs_up_to(points, point)
    with open_lists(station, manifests) as lists:
        tree = lists.tree(manifests)
    found = [entry for entry in tree.values() if below is None or is_below(entry.path, str(below))]
    if below is not None and not found:
        raise NotInBackup(
            f"{shown(str(below))} is not in the restore point of {local(point.at)}: bkp find looks in all"
        )
    return sorted(found, key=lambda entry: entry.path.split("/"))


def children(entries: list[Entry], folder: PurePosixPath | None) -> list[Entry]:
    """Return what lies directly in a folder: of everything below it, the next level only; a file is itself."""
    prefix = "" if folder is None else f"{folder}/"
    direct = [entry for entry in entries if entry.path.startswith(prefix) and "/" not in entry.path[len(prefix) :]]
    return direct or [entry for entry in entries if entry.path == str(folder) and entry.kind != "folder"]


def is_below(path: str, top: str) -> bool:
    """Whether a path is `top` or lies below it."""
    return path == top or path.startswith(f"{top}/")
