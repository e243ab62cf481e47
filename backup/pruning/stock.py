"""What of a set lies at its target, as retention judges it: chains by signed manifests, and what no manifest names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.chain import files_of_chain
from backup.engine.names import run_instant
from backup.errors import ObjectMissing
from backup.model import Role
from backup.notes.damage import doubt_of_damage
from backup.pruning.strays import Stray
from backup.retention import Chain, ChainPoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from backup.catalogue import Catalogue, Refused
    from backup.model import Manifest, Place, RestorePoint, VolumeRecord
    from backup.notes.holds import Hold
    from backup.notes.marks import Mark
    from backup.targets.contract import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFiles:
    """The names of a chain at its target: its manifests, oldest first, and the files they name; each with its bytes."""

    chain: str
    manifests: Mapping[str, int]
    files: Mapping[str, int]

    @property
    def size_bytes(self) -> int:
        """What is free when all of it is gone."""
        return sum(self.manifests.values()) + sum(self.files.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The chains, what they consist of (by name), and the files that no manifest names, by run."""

    chains: tuple[Chain, ...]
    files: Mapping[str, ChainFiles]
    strays: tuple[Stray, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What speaks for chains beside the rules: holds, as of a moment that is witnessed, and marks of who reads now."""

    holds: Sequence[Hold]
    marks: Sequence[Mark]
    as_of: datetime
    now: datetime

    def of(self, chain: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what holds a chain and who uses it, in words."""
        held = dict.fromkeys(each.said for each in self.holds if each.holds(chain, self.as_of))
        used = dict.fromkeys(each.said for each in self.marks if each.holds(chain, self.now))
        return tuple(held), tuple(used)


def take_stock(target: Target, place: Place, catalogue: Catalogue, claims: Claims) -> Stock:
    """Look at what lies there: a listing of each chain's folder, and of each file that no manifest names its time.

    A restore point counts as damaged when a file it needs is missing or has another size; it needs no signatures, but
    its chain counts as damaged without. A manifest that does not
    count puts the chain in doubt that has files of its run, by their names. Raises what the target raises.
    """
    listed = target.files(place.points)
    refused = {at: each for each in catalogue.refused if (at := each.at) is not None}
    by_chain: dict[str, list[RestorePoint]] = defaultdict(list)
    for point in catalogue.points:
        by_chain[point.manifest.chain].append(point)
    chains: list[Chain] = []
    files: dict[str, ChainFiles] = {}
    strays: list[Stray] = []
    for name in sorted({*target.folders(place.chains), *by_chain}):
        there = files_of_chain(target, place, name)
        points = by_chain.get(name, [])
        named = {volume.name for point in points for volume in point.manifest.volumes}
        strays += _strays(target, place, name, {each: there[each] for each in there.keys() - named}, refused)
        if not points:
            continue
        files[name] = ChainFiles(
            chain=name,
            manifests={point.manifest.name: listed.get(point.manifest.name, 0) for point in points},
            files={each: there[each] for each in sorted(named & there.keys())},
        )
        doubts = {at: refused[at].why for each in there if (at := run_instant(each)) is not None and at in refused}
        holds, uses = claims.of(name)
        chains.append(
            Chain(
                name=name,
                points=tuple(_look(points, there)),
                size_bytes=files[name].size_bytes,
                doubts=tuple(doubts[at] for at in sorted(doubts)),
                holds=holds,
                uses=uses,
                damage=doubt_of_damage(target, place, name) or _unlisted(points, there),
            )
        )
    return Stock(chains=tuple(chains), files=files, strays=tuple(strays))


def _look(points: Sequence[RestorePoint], there: Mapping[str, int]) -> list[ChainPoint]:
    """Return the points of a chain, oldest first; a file that is not as its manifest says breaks all from there on."""
    found: list[ChainPoint] = []
    lost: str | None = None
    for point in points:
        lost = lost or _lost(point.manifest, there)
        found.append(
            ChainPoint(at=point.at, known_at=max(point.at, point.manifest.finished_at), broken=point.broken or lost)
        )
    return found


def _lost(manifest: Manifest, there: Mapping[str, int]) -> str | None:
    """Return which file is not as it was sent, of those that a restore of this run needs."""
    return _wrong((volume for volume in manifest.volumes if volume.role is not Role.SIGNATURES), there)


def _unlisted(points: Sequence[RestorePoint], there: Mapping[str, int]) -> str | None:
    """Return which list of files is not as it was sent: restores do without it (restoring/stand_ins.py)."""
    volumes = (volume for point in points for volume in point.manifest.volumes)
    return _wrong((volume for volume in volumes if volume.role is Role.SIGNATURES), there)


def _wrong(volumes: Iterable[VolumeRecord], there: Mapping[str, int]) -> str | None:
    for volume in volumes:
        if there.get(volume.name) != volume.size_bytes:
            return f"{volume.name} is {'not as it was sent' if volume.name in there else 'missing'}"
    return None


def _strays(
    target: Target, place: Place, chain: str, unnamed: Mapping[str, int], refused: Mapping[datetime, Refused]
) -> list[Stray]:
    runs: dict[datetime | None, list[str]] = defaultdict(list)
    for name in sorted(unnamed):
        runs[run_instant(name)].append(name)
    found = []
    for at, names in runs.items():
        changed: list[datetime] = []
        for name in names:
            try:
                changed_at = target.stat(f"{place.chain(chain)}/{name}").changed_at
            except ObjectMissing:
                continue  # it went meanwhile
            if changed_at is not None:
                changed.append(changed_at)
        found.append(
            Stray(
                chain=chain,
                at=at,
                changed_at=max(changed, default=None),
                files={name: unnamed[name] for name in names},
                refused=refused[at].why if at is not None and at in refused else None,
            )
        )
    return found
