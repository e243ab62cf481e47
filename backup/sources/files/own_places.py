"""What of Watchkeep's own must not get into a set of files, wherever its roots are.

The set's target and the work folder would grow by themselves, run after run. With the host's keys whoever may read the
backup could sign as that host; a set that shall have them all the same names them among its roots, as `watchkeep up`
does, which rebuilds itself from its own backup.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backup.errors import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPlace:
    """A folder or file of ours, without symbolic links. may_be_root: a set that names it, or what is in it, has it."""

    path: Path
    what: str
    may_be_root: bool = False


def own_places(settings: BackupSettings, chosen: SetSettings) -> list[OwnPlace]:
    """Return what of ours a set's roots could lead to on this machine."""
    folders = [(name, settings.find_target(name).folder) for name in chosen.targets]
    found = [OwnPlace(path=_real(folder), what=f"target {name!r}") for name, folder in folders if folder is not None]
    found.append(OwnPlace(path=_real(settings.work), what="the work folder"))
    keys = {
        "the host's keys": settings.keys.host,
        "the passphrase of the host's keys": settings.keys.host_passphrase_file,
    }
    return found + [OwnPlace(path=_real(path), what=what, may_be_root=True) for what, path in keys.items()]


def own_below(roots: Sequence[Path], own: Sequence[OwnPlace]) -> list[OwnPlace]:
    """Return which of our places lie below the roots (without symbolic links) and are not to be saved.

    Raises SourceFailed when a root is, or lies in, a place no set may have.
    """
    found: list[OwnPlace] = []
    for place in own:
        inside = [root for root in roots if root.is_relative_to(place.path)]
        if inside and not place.may_be_root:
            raise SourceFailed(
                f"{inside[0]} cannot be saved: it is {place.what} or lies in it, and would save itself at every run;"
                " correct the set's paths"
            )
        if not inside and any(place.path.is_relative_to(root) for root in roots):
            found.append(place)
    return found


def said_left_out(places: Sequence[OwnPlace]) -> str:
    """Return for people what is left out; empty when nothing is."""
    return ", ".join(f"{place.what} ({place.path})" for place in places)


def left_out_of(settings: BackupSettings, chosen: SetSettings) -> list[OwnPlace]:
    """Return what of ours a set leaves out; nothing for one of another source. Raises SourceFailed, as `own_below`."""
    roots = () if chosen.paths is None else chosen.paths.roots
    return own_below([_real(root) for root in roots], own_places(settings, chosen))


def _real(path: Path) -> Path:
    """Return a path without symbolic links, as far as it leads anywhere: a target's disk may be away."""
    return Path(os.path.realpath(path))
