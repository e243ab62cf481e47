"""The targets of a set: each holds a whole copy, byte for byte the same, and gets from another what it lacks.

duplicity writes to one of them, the *main* one. What it wrote there and what was compared is then copied to the
others, the signed manifest last, so that a restore point is one at each target by itself. A target that is away gets
what it missed at the first run that reaches it. A chain never forks: a target is given an incremental only right after
the point that goes on from; where that cannot be, or where points of this machine may be out of reach, the next run
begins a new chain.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.catalogue import Catalogue, read_catalogue
from backup.chain import files_of_chain
from backup.errors import (
    ObjectMissing,
    TargetAway,
    TargetDiffers,
    TargetFull,
    TargetRefused,
    WorkFailed,
    unnamed,
)
from backup.model import Kind
from backup.saving.copy_of_set import NOTHING, Copy
from backup.saving.leftovers import clear_leftovers
from backup.targets.reading import read_sha256
from backup.targets.registry import open_target
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from backup.keys.ring import KeyRing
    from backup.model import Manifest, Place, RunRecord
    from backup.saving.target_memory import TargetMemory
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings

_TROUBLES: Final = (TargetAway, TargetRefused, TargetFull, TargetDiffers, ObjectMissing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What copying takes: an empty file's path, for one volume at a time; who hears of it."""

    scratch: Path
    on_bytes: Callable[[int], None]


class Copies:
    """The targets of one set during one run."""

    def __init__(self, copies: Sequence[Copy], place: Place) -> None:
        self._copies, self._place = copies, place

    @property
    def present(self) -> list[Copy]:
        """Those that take part."""
        return [each for each in self._copies if each.trouble is None]

    @property
    def main(self) -> Copy:
        """The one duplicity writes to: of those with the newest restore point the first. Raises the first trouble."""
        present = self.present
        if not present:
            raise next(each.trouble for each in self._copies if each.trouble is not None)
        newest = max((each.newest.at for each in present if each.newest), default=None)
        return next(each for each in present if newest is None or (each.newest and each.newest.at == newest))

    @property
    def away(self) -> tuple[str, ...]:
        """The names of those that take no part (any more)."""
        return tuple(each.settings.name for each in self._copies if each.trouble is not None)

    @property
    def common(self) -> Catalogue:
        """The points that every target of the set has."""
        if self.away:
            return NOTHING
        names = [{point.manifest.name for point in each.catalogue.points} for each in self._copies]
        shared = set.intersection(*names)
        return Catalogue(
            points=tuple(point for point in self.main.catalogue.points if point.manifest.name in shared), refused=()
        )

    def look(self, ring: KeyRing, memory: TargetMemory | None = None) -> None:
        """Reach every target and read what is there. Raises when none can be used.

        With `memory` one whose disk is not the one that was there takes no part.
        """
        for each in self._copies:
            try:
                if memory is not None:
                    memory.demand_disk(each)
                each.target.reach()
                verifying = None if memory is None else memory.verified.verify
                each.catalogue = read_catalogue(each.target, self._place, ring, verifying)
                if memory is not None:
                    memory.compare(each)
            except _TROUBLES as error:
                each.trouble = error
        _ = self.main

    def level(self, effort: Effort) -> None:
        """Bring what each target lacks since its newest point; to an empty one the newest chain."""
        main = self.main
        for each in self.present:
            for manifest in _lacking(each, main):
                if not self._copy(manifest, main, each, effort):
                    break

    def doubt(self) -> str | None:
        """Return why the newest chain may not be gone on from at every target that takes part; None when it may."""
        main = self.main
        for each in self.present:
            if each.newest and main.newest and each.newest.manifest.name != main.newest.manifest.name:
                return f"target {each.settings.name!r} lacks what the chain before goes on from"
        return None

    @contextmanager
    def tolerating(self, copy: Copy) -> Iterator[None]:
        """Leave a target out of the rest of the run when it fails meanwhile; what the main one raises is raised."""
        main = self.main
        try:
            yield
        except _TROUBLES as error:
            copy.trouble = error
            if copy is main:
                raise

    def clear(self, records: Sequence[RunRecord]) -> None:
        """Remove what runs of this machine left that do not count. Raises what the main target raises."""
        for each in self.present:
            with self.tolerating(each):
                clear_leftovers(each.target, each.settings, self._place, each.catalogue, records)

    def demand_room(self, kind: Kind) -> None:
        """Leave out targets that tell they have no room for a run like the newest of its kind.

        Raises TargetFull, before hours of reading, when that is the one duplicity would write to.
        """
        main = self.main
        sizes = [point.manifest.stored_bytes for point in main.catalogue.points if point.manifest.kind is kind]
        needed = sizes[-1] if sizes else 1
        for each in self.present:
            with self.tolerating(each):
                room = each.target.room()
                if room is not None and room < needed:
                    raise TargetFull(
                        f"target {each.settings.name!r} has room for {room} bytes, the newest {kind.value} took"
                        f" {needed}; make room or prune old backups"
                    )

    def spread(self, manifest: Manifest, main: Copy, effort: Effort) -> None:
        """Bring the point just made at `main` to the others."""
        main.add(manifest)
        for each in self.present:
            if each is not main:
                self._copy(manifest, main, each, effort)

    def lacking(self, manifest: Manifest) -> tuple[str, ...]:
        """Return the names of the targets that have not got a point of this run."""
        return tuple(each.settings.name for each in self._copies if not each.has(manifest))

    def demand_all(self, manifest: Manifest) -> None:
        """Return when every target has a point. Raises what kept the first from it, saying where it is safe."""
        whole = ", ".join(repr(each.settings.name) for each in self._copies if each.has(manifest))
        troubles = [each.trouble for each in self._copies if each.trouble is not None]
        for each in self._copies:
            if not each.has(manifest):
                trouble = each.trouble or troubles[0]  # its own, or that of the one it was to be copied from
                raise type(trouble)(
                    f"the restore point of {local(manifest.at)} is whole at {whole}, but missing at"
                    f" {each.settings.name!r}: {unnamed(each.settings.name, trouble)}"
                ) from trouble

    def _copy(self, manifest: Manifest, main: Copy, to: Copy, effort: Effort) -> bool:
        """Copy one point, its manifest last; note on whose side it failed."""
        folder, name = self._place.chain(manifest.chain), f"{self._place.points}/{manifest.name}"
        try:
            there = files_of_chain(to.target, self._place, manifest.chain)
            for volume in manifest.volumes:
                path = f"{folder}/{volume.name}"
                if there.get(volume.name) == volume.size_bytes and read_sha256(to.target, path)[0] == volume.sha256:
                    continue
                if not _fetch(main, path, volume.sha256, effort):
                    return False
                to.target.put(path, effort.scratch)
                if read_sha256(to.target, path)[0] != volume.sha256:
                    raise TargetDiffers(f"{path} is not what was sent to {to.settings.name!r}")
            signed = _read_manifest(main, name)
            if signed is None:
                return False
            to.target.write(name, signed)
            if b"".join(to.target.read(name)) != signed:
                raise TargetDiffers(f"{name} is not what was sent to {to.settings.name!r}")
        except _TROUBLES as error:
            to.trouble = error
            return False
        except OSError as error:
            raise WorkFailed(f"{effort.scratch} cannot be used: {error.strerror}") from error
        to.add(manifest)
        return True


@contextmanager
def open_copies(settings: BackupSettings, chosen: SetSettings, place: Place) -> Iterator[Copies]:
    """Open the targets of a set; talks to none yet. Raises ConfigInvalid."""
    with ExitStack() as stack:
        found = []
        for name in chosen.targets:
            at = settings.find_target(name)
            found.append(Copy(settings=at, target=stack.enter_context(open_target(at))))
        yield Copies(found, place)


def _lacking(copy: Copy, main: Copy) -> list[Manifest]:
    """Return what `copy` lacks and may be given, oldest first: up to the first that would not fit what is there."""
    newest = copy.newest
    if main.newest is None or copy is main:
        return []
    chain = main.newest.manifest.chain
    wanted = [
        point
        for point in main.catalogue.points
        if (point.at > newest.at if newest else point.manifest.chain == chain) and point.broken is None
    ]
    tips = {point.manifest.chain: point.manifest.name for point in copy.catalogue.points}
    found = []
    for point in wanted:
        manifest = point.manifest
        if manifest.kind is Kind.INCREMENTAL and tips.get(manifest.chain) != manifest.previous:
            break
        tips[manifest.chain] = manifest.name
        found.append(manifest)
    return found


def _fetch(main: Copy, path: str, sha256: str, effort: Effort) -> bool:
    """Bring a file of `main` to the scratch place; False, and noted there, when it is not what it was."""
    digest = hashlib.sha256()
    with effort.scratch.open("wb") as file:
        try:
            for piece in main.target.read(path):
                digest.update(piece)
                file.write(piece)
                effort.on_bytes(len(piece))
        except _TROUBLES as error:
            main.trouble = error
            return False
    if digest.hexdigest() != sha256:
        main.trouble = TargetDiffers(f"{path} at {main.settings.name!r} is not what was sent there")
        return False
    return True


def _read_manifest(main: Copy, name: str) -> bytes | None:
    try:
        return b"".join(main.target.read(name))
    except _TROUBLES as error:
        main.trouble = error
        return None
