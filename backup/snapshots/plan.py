"""Of what there have to be snapshots, so that all that is saved comes from some: pure.

A *place* is where something begins of which snapshots are made by itself: a mounted file system, a subvolume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path


def place_of(path: Path, places: Collection[Path]) -> Path:
    """Return the deepest of the places that a path lies in. Raises ValueError when there is none."""
    return max((place for place in places if path.is_relative_to(place)), key=lambda place: len(place.parts))


def saved_places(
    places: Collection[Path],
    roots: Sequence[Path],
    *,
    one_file_system: bool,
    is_left_out: Callable[[Path, Path], bool],
) -> dict[Path, list[Path]]:
    """Return the places that hold something of what is saved, and what people know of it: the roots in it, or itself.

    is_left_out: whether a path below a root is excluded, it or a folder on the way to it.
    """
    found: dict[Path, list[Path]] = {}
    for root in dict.fromkeys(roots):
        found.setdefault(place_of(root, places), []).append(root)
    if not one_file_system:
        for place in places:
            if place not in found and any(
                place.is_relative_to(root) and not is_left_out(place, root) for root in roots
            ):
                found[place] = [place]
    return found
