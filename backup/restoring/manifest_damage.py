"""What manifests that do not count, or are gone, say of a copy: what is damage, and what only cannot be told here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.catalogue import IMPORT_REMEDY
from backup.errors import SignerUnknown
from backup.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from backup.catalogue import Catalogue, Refused
    from backup.errors import BackupError
    from backup.model import Place, RestorePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is not as it should be. `name` is relative to the target's root; `kills` are lost instants.

    unlists: instants that can be restored all the same: only their list of files is lost, which listing, comparing,
    drills and the next incremental go by. moments: what an archived log costs: from when to when no moment can be
    restored any more; without an end where no restore point came after it. None of everything else.
    """

    name: str
    what: str
    kills: tuple[datetime, ...] = ()
    unlists: tuple[datetime, ...] = ()
    moments: tuple[datetime, datetime | None] | None = None

    def is_of_newest(self, begun: datetime, others: Collection[datetime]) -> bool:
        """Tell whether it costs a point of the newest chain; others: the points of chains before it.

        A point whose manifest is lost is of the newest chain when it is no older than that; a point of the chain before
        may be of the very second in which it was begun.
        """
        return any(at >= begun and at not in others for at in (*self.kills, *self.unlists))


def refused_manifests(place: Place, refused: Iterable[Refused]) -> Iterator[Damage]:
    """Yield the manifests that do not count, each with the point that it was; whose signer is unknown may be whole."""
    for each in refused:
        if not each.is_of_stranger:
            kills = () if each.at is None else (each.at,)
            yield Damage(name=f"{place.points}/{shown(each.name)}", what=each.why, kills=kills)


def strangers(refused: Iterable[Refused]) -> list[BackupError]:
    """Return what to say of the manifests whose signer is not known here."""
    found = [each for each in refused if each.is_of_stranger]
    if not found:
        return []
    many = f"{len(found)} manifests, the newest of them {found[-1].why}" if len(found) > 1 else found[0].why
    return [SignerUnknown(f"what these are worth cannot be told here: {many}. {IMPORT_REMEDY}")]


def unclear(catalogue: Catalogue) -> set[str]:
    """Return the names of manifests that go on, over any number of others, from one whose signer is unknown."""
    found = {each.name for each in catalogue.refused if each.is_of_stranger}
    for point in catalogue.points:
        if point.manifest.previous in found:
            found.add(point.manifest.name)
    return found


def missing_manifests(place: Place, catalogue: Catalogue, points: list[RestorePoint]) -> Iterator[Damage]:
    """Yield the manifests that are gone but for their name in the one after them, with the points that they cost."""
    gone = {each.name: each.at for each in catalogue.missing}
    for point in points:
        name = point.manifest.previous
        at = None if name is None else gone.get(name)
        if at is None:
            continue
        chain = point.manifest.chain
        after = tuple(each.at for each in points if each.manifest.chain == chain and each.at >= point.at)
        yield Damage(name=f"{place.points}/{name}", what="it is missing", kills=(at, *after))
