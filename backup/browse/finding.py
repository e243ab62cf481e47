"""Where a path is: which restore points hold it, and how it looked there."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backup.browse.difference import differs
from backup.browse.listing import Tree, open_lists, runs_up_to
from backup.errors import BackupError, Cancelled
from backup.station.copies import at_any_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from backup.browse.signatures import Entry
    from backup.model import RestorePoint
    from backup.station.station import Station

Matches = dict[str, "list[Version]"]


@dataclass(slots=True, kw_only=True)
class Version:
    """How something looked, and the instants of the restore points that hold it so, oldest first."""

    entry: Entry
    points: list[datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found: versions by path, oldest first; and the chains that could not be looked into, with the reason."""

    versions: Matches
    unread: dict[str, BackupError]


def pattern_of(text: str, *, ignores_case: bool = False) -> Callable[[str], bool]:
    """Return what tells whether a path is meant: a name with *, ? and [...], or with a slash in it a whole path.

    A `*` goes across slashes. A path below the one that is meant is not meant itself.
    """
    plain = text.strip("/")
    is_path = "/" in text.rstrip("/")
    rule = re.compile(fnmatch.translate(plain), re.IGNORECASE if ignores_case else 0)
    return lambda path: rule.match(path if is_path else path.rpartition("/")[2]) is not None


def find_paths(
    station: Station, points: Sequence[RestorePoint], chosen: Sequence[RestorePoint], is_meant: Callable[[str], bool]
) -> Found:
    """Look for paths in the `chosen` ones of a set's restore points; all of them, oldest first, are `points`.

    One reading of each chain's lists of files; no data is fetched. A chain that cannot be looked into keeps no other
    from it. Raises what stands in the way of all: KeyMissing, PassphraseWrong …
    """
    versions: Matches = {}
    unread: dict[str, BackupError] = {}
    by_chain: dict[str, list[RestorePoint]] = {}
    for point in chosen:
        by_chain.setdefault(point.manifest.chain, []).append(point)
    for chain, looked in by_chain.items():
        station.demand_decryption(looked[-1].manifest)
        try:
            seen = at_any_copy(station, "looking", partial(_look_into, points, looked, is_meant), looked)
        except Cancelled:
            raise
        except BackupError as error:
            unread[chain] = error
        else:
            for path, entry, at in seen:
                _note(versions.setdefault(path, []), entry, at)
    return Found(versions=versions, unread=unread)


def _look_into(
    points: Sequence[RestorePoint],
    looked: Sequence[RestorePoint],
    is_meant: Callable[[str], bool],
    station: Station,
) -> list[tuple[str, Entry, datetime]]:
    """Return what is meant, by path, as it was in each point of one chain."""
    seen: list[tuple[str, Entry, datetime]] = []
    wanted = {point.manifest.name for point in looked}
    there = Tree()
    runs = runs_up_to(points, looked[-1])
    with open_lists(station, runs) as lists:
        for run in runs:
            for change in lists.changes(run):
                if is_meant(change.path):
                    there.take(change)
            if run.name in wanted:
                seen += [(path, entry, run.at) for path, entry in there.entries().items()]
    return seen


def _note(versions: list[Version], entry: Entry, at: datetime) -> None:
    if versions and not differs(versions[-1].entry, entry):
        versions[-1].points.append(at)
    else:
        versions.append(Version(entry=entry, points=[at]))
