"""What a restore that failed says of files at the target: which is missing or not what was sent, what that costs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from backup.chain import files_of_chain
from backup.errors import ObjectMissing, TargetDiffers
from backup.model import Role, instant_name
from backup.targets.reading import read_sha256
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.model import RestorePoint, VolumeRecord
    from backup.station.station import Station

_VOLUME: Final = re.compile(r"duplicity-(?:full|inc)\.[\w.]+\.vol\d+\.difftar(?:\.\w+)?")


def demand_files(station: Station, point: RestorePoint, words: str, *, needs_signatures: bool) -> None:
    """Return when every file that a point is made of is there and is what was sent, as far as can be told soon.

    duplicity tells a missing one by a trace of its own, and a damaged list by words of gpg's. Of its volumes those are
    read that its last `words` name: it compares them itself. Raises ObjectMissing, TargetDiffers.
    """
    folder = station.place.chain(point.manifest.chain)
    there = files_of_chain(station.target, station.place, point.manifest.chain)
    needed = [
        volume
        for each in station.catalogue().points
        if each.manifest.chain == point.manifest.chain and each.manifest.position <= point.manifest.position
        for volume in each.manifest.volumes
        if needs_signatures or volume.role is not Role.SIGNATURES
    ]
    gone = [volume.name for volume in needed if volume.name not in there]
    if gone:
        raise missing(station, point, gone)
    named = set(_VOLUME.findall(words))
    for volume in needed:
        if there[volume.name] != volume.size_bytes or (
            (volume.role is not Role.VOLUME or volume.name.rpartition("/")[2] in named)
            and read_sha256(station.target, f"{folder}/{volume.name}")[0] != volume.sha256
        ):
            raise TargetDiffers(_said(station, point, volume.name, "is not what was sent to target"))


def missing(station: Station, point: RestorePoint, names: Sequence[str]) -> ObjectMissing:
    """Return the error that files of a point's chain are missing, by their names in it."""
    more = f" and {len(names) - 1} more are" if len(names) > 1 else " is"
    return ObjectMissing(_said(station, point, names[0], f"{more.strip()} missing at target"))


def _said(station: Station, point: RestorePoint, name: str, what: str) -> str:
    """Return in words what is wrong with a file, what that costs, and which point can be had instead."""
    points = station.catalogue().points
    owner = next((each for each in points if _has(each, name)), point)
    chain, position = owner.manifest.chain, owner.manifest.position
    lost = [each for each in points if each.manifest.chain == chain and each.manifest.position >= position]
    costs = ", ".join(local(each.at) for each in lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
    whole = [each for each in points if each not in lost and each.broken is None and each.at < point.at]
    instead = (
        f"the newest before it that does not need it: --at {instant_name(whole[-1].at)}"
        if whole
        else "no restore point is older; another may be whole: choose it with --at"
    )
    listed = "list of files of the " if _is_signatures(owner, name) else ""  # a restore does without
    return (
        f"{station.place.chain(chain)}/{name} {what} {station.chosen.target!r}: that costs the {listed}restore"
        f" point{'s' if len(lost) > 1 else ''} of {costs}. `bkp verify --depth read` shows what else is damaged;"
        f" {instead}"
    )


def _has(point: RestorePoint, name: str) -> bool:
    volumes: Sequence[VolumeRecord] = point.manifest.volumes
    return any(volume.name == name for volume in volumes)


def _is_signatures(point: RestorePoint, name: str) -> bool:
    return any(volume.name == name and volume.role is Role.SIGNATURES for volume in point.manifest.volumes)
