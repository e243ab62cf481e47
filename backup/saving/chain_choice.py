"""Whether a set's newest chain may be gone on from at every target that takes part, and what a new one is called."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from backup.model import instant_name
from backup.notes.damage import doubt_of_damage
from backup.saving.leftovers import doubt_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backup.model import Manifest, Place
    from backup.saving.cache import MetadataCache
    from backup.saving.copies import Copies


def doubt_of_copies(copies: Copies, place: Place, manifests: Sequence[Manifest], cache: MetadataCache) -> str | None:
    """Return why a chain (its manifests, oldest first) may not be gone on from; None when it may.

    A target that fails while it is asked takes no part in the run any more. Raises what the main one raises.
    """
    return copies.doubt() or _damage(copies, place, manifests) or _beyond_reach(copies, cache, manifests)


def new_chain(copies: Copies, place: Place, now: datetime) -> str:
    """Return a folder name nobody has used: this second's, or the next free one. Raises what the main one raises."""
    used: set[str] = set()
    for each in copies.present:
        with copies.tolerating(each):
            used |= set(each.target.folders(place.chains))
    at = now
    while instant_name(at) in used:
        at += timedelta(seconds=1)
    return instant_name(at)


def _damage(copies: Copies, place: Place, manifests: Sequence[Manifest]) -> str | None:
    """Return what is wrong with the chain at any of the targets that take part."""
    chain = manifests[0].chain
    found: str | None = None
    for each in copies.present:
        if any(point.manifest.chain == chain for point in each.catalogue.points):
            with copies.tolerating(each):
                found = found or doubt_of(each.target, place, manifests) or doubt_of_damage(each.target, place, chain)
    return found


def _beyond_reach(copies: Copies, cache: MetadataCache, manifests: Sequence[Manifest]) -> str | None:
    """Return that a target which is away may have a later point of the chain: going on from here would fork it."""
    if copies.away and cache.is_beyond(manifests[0].chain, manifests):
        return f"a later point of the chain before may be at {copies.away[0]!r}, which cannot be used"
    return None
