"""Which item numbers a source has given, kept in a small file across its lives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from core.model.record import ItemEntry
from core.runtime.logging import Log
from core.spool.disk import replace_file
from core.spool.faults import SpoolFault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from core.model.item import ItemDescription

FILE_NAME = "items.json"
log = Log("outbox")


class ItemBook:
    """Numbers by (host, key), starting at 1, never given twice.

    A changed type is another item to those who read it, so it gets a new number; a changed unit or description keeps
    the number and is announced again. Losing the file costs only the stability of the numbers: each boot announces
    its own dictionary.
    """

    def __init__(self, path: Path) -> None:
        """Read the file; a damaged one is put aside. Raises OSError."""
        self._path = path
        self._entries: dict[tuple[str, str], ItemEntry] = {}
        self._next = 1
        if not path.exists():
            return
        try:
            self._next, entries = _checked(json.loads(path.read_bytes()))
        except ValueError as error:
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            log.warning("The file of item numbers is damaged; items are numbered anew", file=aside, error=error)
            return
        self._entries = {(entry.host, entry.key): entry for entry in entries}

    @property
    def entries(self) -> list[ItemEntry]:
        """Every item, by number."""
        return sorted(self._entries.values(), key=lambda entry: entry.number)

    def look_up(self, descriptions: Sequence[ItemDescription]) -> tuple[list[int], list[ItemEntry]]:
        """Return the number of each, and the entries that are new or changed; changes nothing until `accept`."""
        fresh: dict[tuple[str, str], ItemEntry] = {}
        numbers = []
        following = self._next
        for item in descriptions:
            place = (item.host, item.key)
            known = fresh.get(place) or self._entries.get(place)
            if known is None or known.type != item.type:
                number, following = following, following + 1
            elif (known.unit, known.description) == (item.unit, item.description):
                numbers.append(known.number)
                continue
            else:
                number = known.number
            numbers.append(number)
            fresh[place] = ItemEntry(
                number=number,
                key=item.key,
                type=item.type,
                unit=item.unit,
                description=item.description,
                host=item.host,
            )
        return numbers, sorted(fresh.values(), key=lambda entry: entry.number)

    def save_with(self, fresh: Sequence[ItemEntry]) -> None:
        """Write the file as it will be with these entries, durably. Raises SpoolFault; then the old file stands."""
        entries = {**self._entries, **{(entry.host, entry.key): entry for entry in fresh}}
        rows = [[e.number, e.key, e.type, e.unit, e.description, e.host] for e in entries.values()]
        text = json.dumps({"next": self._following(fresh), "items": rows}, ensure_ascii=False)
        try:
            replace_file(self._path, text.encode())
        except OSError as error:
            raise SpoolFault.during("write the item numbers", self._path.parent, error) from error

    def accept(self, fresh: Sequence[ItemEntry]) -> None:
        """Take the entries as given, once they are announced."""
        self._next = self._following(fresh)
        self._entries.update({(entry.host, entry.key): entry for entry in fresh})

    def _following(self, fresh: Sequence[ItemEntry]) -> int:
        return max([self._next, *(entry.number + 1 for entry in fresh)])


def _checked(document: Any) -> tuple[int, list[ItemEntry]]:
    """Return (next number, entries) of the file's document. Raises ValueError when it has another form."""
    following, rows = (document.get("next"), document.get("items")) if isinstance(document, dict) else (None, None)
    if type(following) is not int or not isinstance(rows, list):
        raise ValueError("no next number or no list of items")
    entries = []
    for row in rows:
        if not isinstance(row, list) or [type(field) for field in row] != [int, str, str, str, str, str]:
            raise ValueError(f"{row!r} is no item")
        number, key, kind, unit, description, host = row
        entries.append(ItemEntry(number=number, key=key, type=kind, unit=unit, description=description, host=host))
    highest = max((entry.number for entry in entries), default=0)
    if len({entry.number for entry in entries}) != len(entries):
        raise ValueError("a number is given twice")
    return max(following, highest + 1), entries
