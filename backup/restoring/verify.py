"""Whether what lies at the target is what was sent there, to the depth asked for, and what damage costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from backup.chain import files_of_chain
from backup.errors import BackupError, Cancelled, DestinationInUse, WorkFailed
from backup.model import read_instant
from backup.notes.damage import write_damage
from backup.notes.marks import reading
from backup.restoring.file_damage import damage_of_file
from backup.restoring.inspection import Found, Inspection
from backup.restoring.manifest_damage import Damage, missing_manifests, refused_manifests, strangers, unclear
from backup.restoring.restore import restore
from backup.restoring.seen_before import seen_now, vanished_here, vanished_manifests
from backup.restoring.unnamed import files_of_unknown_chains, unsigned_runs
from backup.restoring.wanted import Wanted
from backup.station.copies import DAMAGES
from backup.station.station import scratch_workplace
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from backup.engine.progress import Progress
    from backup.model import Manifest, RestorePoint
    from backup.restoring.inspection import Logs
    from backup.sampling import Sampling
    from backup.station.station import Station
    from backup.when import When


class Depth(StrEnum):
    """How deep a verification goes; each includes those before it.

    STORED: manifests are signed, every file is there with its size. READ: every file is read back, and its SHA-256 is
    what the manifest says. DECRYPTED: the newest point is decrypted and restored aside, and counted; archived logs are
    decrypted, each.
    """

    STORED = "stored"
    READ = "read"
    DECRYPTED = "decrypted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification found. `restorable` and `lost` are instants of restore points, oldest first.

    unlisted: those of the restorable ones that come back, but whose lists of files are damaged. files: of all that were
    looked for; files_read: how many of them were read, which is fewer of a sample. log_files: how many of them are
    archived logs; uncompared: how many of these only a key can look at. sampled_to: where a sample ended.
    strays: files that no manifest names. unsigned: instants of whole runs among them, which were broken off before
    their manifest was written, or lost it. fresh_full: what becomes of it when the newest chain, or a list in it, is
    damaged, in words: the next run begins a new one by itself, or why that could not be asked for. None when it is not.
    fresh_point: what makes moments of the future restorable again, where damaged logs are in the way.
    hindrances: why it could not be told of all whether it is whole; they say nothing of what lies there. seen: points
    to remember for the next look (names, chains); seen_logs: the same of archived logs.
    """

    depth: Depth
    damages: tuple[Damage, ...]
    restorable: tuple[datetime, ...]
    lost: tuple[datetime, ...]
    files: int
    bytes: int
    files_read: int = 0
    log_files: int = 0
    uncompared: int = 0
    sampled_to: str | None = None
    strays: tuple[str, ...] = ()
    unsigned: tuple[datetime, ...] = ()
    unlisted: tuple[datetime, ...] = ()
    fresh_full: str | None = None
    fresh_point: str | None = None
    hindrances: tuple[BackupError, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)
    seen_logs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def verify(  # noqa: PLR0913 - how deep, what of it, and what is known of the copy
    station: Station,
    depth: Depth,
    *,
    at: When | None = None,
    sampling: Sampling | None = None,
    seen: Mapping[str, str] = MappingProxyType({}),
    logs_of: Callable[[Station, Sequence[RestorePoint]], Logs] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Verify a set; `at` limits it to the chain of the point that `at` would restore, `sampling` what is read of it.

    logs_of: lists the archived logs that go on from points; None: they are not looked at.

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
    logs = None if logs_of is None else logs_of(station, points)
    log_names = () if logs is None else logs.names()
    names, wanted, sampled_to = [*_names(station, points), *log_names], None, None
    if sampling is not None:
        wanted, sampled_to = sampling.choose(names)
    wrong: dict[tuple[str, str], str] = {}
    strays: list[str] = []
    with reading(station, [point.manifest for point in points], "verified") as marking:
        inspection = Inspection(
            target=station.target, is_reading=depth is not Depth.STORED, is_opening=depth is Depth.DECRYPTED,
            wanted=wanted, total=len(names), marking=marking, on_progress=on_progress,
        )  # fmt: skip
        for chain in dict.fromkeys(point.manifest.chain for point in points):
            manifests = [point.manifest for point in points if point.manifest.chain == chain]
            strays += _inspect_chain(station, manifests, inspection, wrong)
        found = Found() if logs is None else logs.look(inspection)
    if at is None:
        strays += files_of_unknown_chains(station, catalogue)
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
    hindrances = [*strangers(refused), *found.hindrances]
    damages += [damage_of_file(station.place, points, *where, what) for where, what in wrong.items()]
    damages += found.damages
    lost = {at for damage in damages for at in damage.kills}
    whole = [point for point in points if point.at not in lost and point.broken is None]
    if depth is Depth.DECRYPTED and whole:
        try:
            damages += _prove(station, catalogue.latest(whole), on_progress)
        except Cancelled:
            raise
        except BackupError as error:  # what was read until then is told all the same
            hindrances.append(error)
        lost |= {at for damage in damages for at in damage.kills}
    restorable = tuple(point.at for point in whole if point.at not in lost)
    unlisted = {at for damage in damages for at in damage.unlists}
    newest = catalogue.newest_chain
    hurt = [point for point in points if point.at in lost | unlisted and point.manifest.chain == newest]
    others = {point.at for point in points if point.manifest.chain != newest}
    fresh_full = _ask_for_full(station, newest, damages, others) if newest is not None and hurt else None
    return Report(
        depth=depth,
        damages=tuple(damages),
        restorable=restorable,
        unlisted=tuple(at for at in restorable if at in unlisted),
        lost=tuple(sorted(lost)),
        files=inspection.files,
        bytes=inspection.bytes,
        files_read=inspection.files_read,
        log_files=len(log_names),
        uncompared=found.uncompared,
        sampled_to=sampled_to,
        strays=tuple(strays),
        unsigned=unsigned_runs(strays, catalogue),
        fresh_full=fresh_full,
        fresh_point=found.fresh_point,
        seen=seen_now(catalogue, seen, vanished),
        seen_logs=found.seen,
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


def _inspect_chain(
    station: Station, manifests: list[Manifest], inspection: Inspection, wrong: dict[tuple[str, str], str]
) -> list[str]:
    """Look at a chain's files, put what is wrong into `wrong` by chain and name, and return what no manifest names."""
    folder = station.place.chain(manifests[0].chain)
    there = dict(files_of_chain(station.target, station.place, manifests[0].chain))
    for manifest in manifests:
        for volume in manifest.volumes:
            size = there.pop(volume.name, None)
            what = inspection.trouble(f"{folder}/{volume.name}", size, volume.size_bytes, volume.sha256)
            if what is not None:
                wrong[manifest.chain, volume.name] = what
    return [f"{folder}/{name}" for name in sorted(there)]


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
        return [
            Damage(
                name=name, what=f"{counted(made.entries, 'entry')} came back instead of {expected}", kills=(point.at,)
            )
        ]
    return []
