"""Damage that was found while a set was read, said at the target, where its host looks before the next run.

A host sees by itself when a file is missing or has another size. A flipped bit is seen by whoever reads (a
verification, a restore, a drill): the restore station, mostly. The note `HOST/SET/damage/CHAIN.json` makes the next run
begin a new chain. It is not signed: whoever may write at the target could make runs longer by it, and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.errors import BackupError, Cancelled, ObjectMissing
from backup.model import instant_name, read_instant
from backup.targets.small import parse_instant, parse_table, plain_text, read_start
from backup.when import local
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.model import Place
    from backup.station.station import Station
    from backup.targets.contract import DeletingTarget, Target

log = Log("bkp")

_FORM: Final = "watchkeep-damage-1"
_ENDING: Final = ".json"
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageNote:
    """What was found wrong with a chain, by whom (a host's name) and when.

    is_of_lists: only lists of files are damaged, which restores do without. A note that does not say so may be of
    anything.
    """

    chain: str
    what: str
    by: str
    found_at: datetime
    is_of_lists: bool = False

    @property
    def said(self) -> str:
        """The note in words."""
        what = "damaged lists, without which its points can be restored," if self.is_of_lists else "damage"
        return f"a verification by {self.by or 'somebody'} found {what} on {local(self.found_at)}: {self.what}"


def write_damage(
    target: Target, place: Place, chain: str, whats: Sequence[str], *, by: str, is_of_lists: bool = False
) -> None:
    """Leave a note that a chain is damaged. Raises what the target raises: a station's rights may be to read only."""
    more = f" and {len(whats) - _MOST_NAMED} more" if len(whats) > _MOST_NAMED else ""
    table = {
        "form": _FORM,
        "chain": chain,
        "what": "; ".join(whats[:_MOST_NAMED]) + more,
        "by": by,
        "found_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "is_of_lists": is_of_lists,
    }
    target.write(f"{_folder(place)}/{chain}{_ENDING}", (json.dumps(table, indent=1) + "\n").encode())


def leave_note(station: Station, chain: str, whats: Sequence[str], *, is_of_lists: bool = False) -> BackupError | None:
    """Leave a note where the station reads, unless there is one; return what stood in the way, which is told.

    It may be let read only. A note that is there says more, since a verification looks at everything; but one of lists
    does not stand for worse.
    """
    try:
        there = read_damage(station.target, station.place, chain)
        if there is not None and (is_of_lists or not there.is_of_lists):
            return None
        by = station.settings.host
        write_damage(station.target, station.place, chain, whats, by=by, is_of_lists=is_of_lists)
    except Cancelled:
        raise
    except BackupError as error:
        log.warning("The damage could not be noted at the target: run `bkp run SET --full`", error=error)
        return error
    return None


def read_damage(target: Target, place: Place, chain: str) -> DamageNote | None:
    """Return the note on a chain, None when there is none; one that cannot be understood says so."""
    name = f"{_folder(place)}/{chain}{_ENDING}"
    try:
        content = read_start(target, name)
    except ObjectMissing:
        return None
    try:
        table = parse_table(content, _FORM)
        return DamageNote(
            chain=chain,
            what=plain_text(table["what"]),
            by=plain_text(table["by"]),
            found_at=parse_instant(table["found_at"]),
            is_of_lists=table.get("is_of_lists") is True,
        )
    except (ValueError, KeyError, TypeError) as error:
        return DamageNote(chain=chain, what=f"{name} cannot be understood ({error})", by="", found_at=datetime.now(UTC))


def doubt_of_damage(target: Target, place: Place, chain: str) -> str | None:
    """Return why a chain must not be gone on from, when somebody found it damaged."""
    note = read_damage(target, place, chain)
    return None if note is None else note.said


def clear_damage(target: DeletingTarget, place: Place) -> None:
    """Remove the notes on chains that are not there any more."""
    there = set(target.folders(place.chains))
    for name in target.files(_folder(place)):
        try:
            chain = instant_name(read_instant(name.removesuffix(_ENDING)))
        except ValueError:
            continue
        if chain not in there:
            target.delete(f"{_folder(place)}/{name}")


def _folder(place: Place) -> str:
    return f"{place.host}/{place.set}/damage"
