"""What lies in a chain's folder at a target: files of duplicity's, in the folders of its parts where there are some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backup.model import MOST_PARTS, part_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backup.model import Place
    from backup.targets.contract import Target

_PARTS: Final = frozenset(part_names(MOST_PARTS))


def files_of_chain(target: Target, place: Place, chain: str) -> Mapping[str, int]:
    """Return every file of a chain, by its name as manifests have it, with its bytes. Raises what the target raises."""
    folder = place.chain(chain)
    found = dict(target.files(folder))
    for part in _PARTS.intersection(target.folders(folder)):
        found |= {f"{part}/{name}": size for name, size in target.files(place.part(chain, part)).items()}
    return found
