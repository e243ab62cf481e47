"""Whether what lies at the target is what was sent there, to the depth asked for, and what damage costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from backup.chain import files_of_chain
from backup.errors import BackupError, Cancelled, DestinationInUse, ObjectMissing, WorkFailed
from backup.model import read_instant
from backup.restoring.copies import DAMAGES
from backup.restoring.damage import write_damage
from backup.restoring.file_damage import damage_of_file
from backup.restoring.manifest_damage import Damage, missing_manifests, refused_manifests, strangers, unclear
from backup.restoring.restore import restore
from backup.restoring.seen_before import seen_now, vanished_here, vanished_manifests
from backup.restoring.station import scratch_workplace
from backup.restoring.unnamed import files_of_unknown_chains, unsigned_runs
from backup.restoring.wanted import Wanted
from backup.retention.marks import reading
from backup.targets.reading import read_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from backup.engine.progress import Progress
    from backup.model import Manifest, RestorePoint
    from backup.restoring.station import Station
    from backup.retention.marks import Marking
    from backup.sampling import Sampling
    from backup.when import When


class Depth(StrEnum):
    """How deep a verification goes; each includes those before it.

    STORED: manifests are signed, every file is there with its size. READ: every file is read back, and its SHA-256 is
    what the manifest says. DECRYPTED: the newest point is decrypted and restored aside, and counted.
    """

    STORED = "stored"
    READ = "read"
    DECRYPTED = "decrypted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification found. `restorable` and `lost` are instants of restore points, oldest first.

    unlisted: those of the restorable ones that come back, but whose lists of files are damaged. files: of all that were
    looked for; files_read: how many of them were read, which is fewer of a sample. sampled_to: where a sample ended.
    strays: files that no manifest names. unsigned: instants of whole runs among them, which were broken off before
    their manifest was written, or lost it. fresh_full: what becomes of it when the newest chain, or a list in it, is
    damaged, in words: the next run begins a new one by itself, or why that could not be asked for. None when it is not.
    hindrances: why it could not be told of all whether it is whole; they say nothing of what lies there. seen: points
    to remember for the next look (names, chains).
    """

    depth: Depth
    damages: tuple[Damage, ...]
    restorable: tuple[datetime, ...]
    lost: tuple[datetime, ...]
    files: int
    bytes: int
    files_read: int = 0
    sampled_to: str | None = None
    strays: tuple[str, ...] = ()
    unsigned: tuple[datetime, ...] = ()
    unlisted: tuple[datetime, ...] = ()
    fresh_full: str | None = None
    hindrances: tuple[BackupError, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Survey:
    """What is found while looking. wanted: what is read of the files, None for all of them."""

    depth: Depth
    wanted: frozenset[str] | None = None
    files: int = 0
    files_read: int = 0
    bytes: int = 0
    wrong: dict[tuple[str, str], str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)

    def reads(self, name: str) -> bool:
        """Tell whether a file is read, and not only looked for."""
        return self.depth is not Depth.STORED and (self.wanted is None or name in self.wanted)


def verify(
    station: Station,
    depth: Depth,
    *,
    at: When | None = None,
    sampling: Sampling | None = None,
    seen: Mapping[str, str] = MappingProxyType({}),
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Verify a set; `at` limits it to the chain of the point that `at` would restore, `sampling` what is read of it.

    seen: points that were seen at this copy before; one that was deleted is known by that, unless `at` limits the look.
    Damage is what the report says, not an exception. Raises what stands in the way of looking: TargetAway, KeyMissing …
    """
    catalogue = station.catalogue()
    points, refused = list(catalogue.points), catalogue.refused
    if at is not None:
        newest_then = catalogue.newest(at)
        passed = catalogue.passed_over(newest_then, at)
        chain, refused = newest_then.manifest.chain, tuple(each for each in refused if each in passed)
        points = [point for point in points if point.manifest.chain == chain]
    survey, sampled_to = _Survey(depth=depth), None
    if sampling is not None:
        survey.wanted, sampled_to = sampling.choose(_names(station, points))
    with reading(station, [point.manifest for point in points], "verified") as marking:
        for chain in dict.fromkeys(point.manifest.chain for point in points):
            manifests = [point.manifest for point in points if point.manifest.chain == chain]
            _survey_chain(station, manifests, survey, marking)
    if at is None:
        survey.strays += files_of_unknown_chains(station, catalogue)
    damages = [*refused_manifests(station.place, refused)]
    damages += missing_manifests(station.place, catalogue, points)
    vanished = vanished_here(station, catalogue, seen) if at is None else {}
    damages += vanished_manifests(station, vanished)
    doubtful = unclear(catalogue)
    damages += [
        Damage(name=f"{station.place.points}/{point.manifest.name}", what=point.broken, kills=(point.at,))
        for point in points
        if point.broken is not None and point.manifest.name not in doubtful
    ]
    hindrances = strangers(refused)
    damages += [damage_of_file(station.place, points, *where, what) for where, what in survey.wrong.items()]
    lost = {at for damage in damages for at in damage.kills}
    whole = [point for point in points if point.at not in lost and point.broken is None]
    if depth is Depth.DECRYPTED and whole:
        try:
            damages += _prove(station, whole[-1], on_progress)
        except Cancelled:
            raise
        except BackupError as error:  # what was read until then is told all the same
            hindrances.append(error)
        lost |= {at for damage in damages for at in damage.kills}
    restorable = tuple(point.at for point in whole if point.at not in lost)
    unlisted = {at for damage in damages for at in damage.unlists}
    newest = catalogue.points[-1].manifest.chain if catalogue.points else None
    hurt = [point for point in points if point.at in lost | unlisted and point.manifest.chain == newest]
    others = {point.at for point in points if point.manifest.chain != newest}
    fresh_full = _ask_for_full(station, newest, damages, others) if newest is not None and hurt else None
    return Report(
        depth=depth,
        damages=tuple(damages),
        restorable=restorable,
        unlisted=tuple(at for at in restorable if at in unlisted),
        lost=tuple(sorted(lost)),
        files=survey.files,
        bytes=survey.bytes,
        files_read=survey.files_read,
        sampled_to=sampled_to,
        strays=tuple(survey.strays),
        unsigned=unsigned_runs(survey.strays, catalogue),
        fresh_full=fresh_full,
        seen=seen_now(catalogue, seen, vanished),
        hindrances=tuple(hindrances),
    )


def _names(station: Station, points: list[RestorePoint]) -> list[str]:
    """Return every file that the points are made of."""
    manifests = [point.manifest for point in points]
    return [f"{station.place.chain(each.chain)}/{volume.name}" for each in manifests for volume in each.volumes]


def _ask_for_full(station: Station, chain: str, damages: list[Damage], others: set[datetime]) -> str:
    """Note the damage of a chain at the target, where the set's host looks before its next run; say what becomes of it.

    others: the points of chains before it.
    """
    host, begun = station.place.host, read_instant(chain)
    hurting = [damage for damage in damages if damage.is_of_newest(begun, others)]
    whats = [f"{damage.name.split('/', 4)[-1]}: {damage.what}" for damage in hurting]
    is_of_lists = not any(damage.kills for damage in hurting)
    try:
        write_damage(station.target, station.place, chain, whats, by=station.settings.host, is_of_lists=is_of_lists)
    except Cancelled:
        raise
    except BackupError as error:
        return (
            f"the next run may go on from the damage, since no note of it can be left at the target ({error}): on"
            f" {host}, run `bkp run {station.place.set} --full`"
        )
    return f"the next run on {host} makes a new full by itself; `bkp run {station.place.set}` there makes it now"


def _survey_chain(
    station: Station,
    manifests: list[Manifest],
    survey: _Survey,
    marking: Marking,
) -> None:
    folder = station.place.chain(manifests[0].chain)
    there = dict(files_of_chain(station.target, station.place, manifests[0].chain))
    for manifest in manifests:
        for volume in manifest.volumes:
            survey.files += 1
            size = there.pop(volume.name, None)
            key = (manifest.chain, volume.name)
            if size is None:
                survey.wrong[key] = "it is missing"
            elif size != volume.size_bytes:
                survey.wrong[key] = f"it has {size} bytes instead of {volume.size_bytes}"
            elif survey.reads(f"{folder}/{volume.name}"):
                marking.renew()  # reading everything may take days
                try:
                    digest, read = read_sha256(station.target, f"{folder}/{volume.name}")
                except ObjectMissing:
                    survey.wrong[key] = "it is missing"
                    continue
                survey.files_read += 1
                survey.bytes += read
                if digest != volume.sha256:
                    survey.wrong[key] = "its content is not what was sent (SHA-256 differs)"
    survey.strays += [f"{folder}/{name}" for name in sorted(there)]


def _prove(station: Station, point: RestorePoint, on_progress: Callable[[Progress], None] | None) -> list[Damage]:
    """Restore a point aside, count what came back, throw it away.

    Only what is evidence about the stored bytes is damage. Raises what else stood in the way: a key that is not here,
    no room, a duplicity that was killed, a target that went away.
    """
    name = f"{station.place.points}/{point.manifest.name}"
    with scratch_workplace(station.settings) as workplace:
        try:
            made = restore(station, point, Wanted(path=None, to=workplace.temporary / "proof"), on_progress)
        except DAMAGES as error:
            return [Damage(name=name, what=f"it cannot be restored: {error}", kills=(point.at,))]
        except DestinationInUse as error:
            raise WorkFailed(f"the restore point could not be restored aside: {error}") from error
    expected = point.manifest.counts.entries
    if expected and made.entries < expected - 1:  # the root itself counts as one
        return [Damage(name=name, what=f"{made.entries} entries came back instead of {expected}", kills=(point.at,))]
    return []
