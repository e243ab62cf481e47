"""How archiving a cluster's WAL stands, in the set's state: for the agent's items, `bkp status` and whoever looks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.saving.archive_notes import ArchiveNotes
from backup.saving.archive_standing import failed, stands_of, told
from backup.wal.names import archiving_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backup.errors import BackupError
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.wal.names import WalObject

_NOTHING: Final = dict.fromkeys(("archived", "written_at", "archived_at", "failing_since", "error"))


def those_having(settings: BackupSettings, chosen: SetSettings, asked: WalObject) -> set[str]:
    """Return the targets that had the file PostgreSQL asks for when it asked last: it waits for others."""
    stands = stands_of(ArchiveNotes(settings, chosen.name, "wal").read(), chosen.targets)
    lacking = [name for name, each in stands.items() if each.get("failing_since")]
    return {name for name, each in stands.items() if each.get("has") == _content(asked)} if lacking else set()


def note_archived(
    settings: BackupSettings,
    chosen: SetSettings,
    newest: Mapping[str, WalObject],
    asked: WalObject,
    is_ahead: Callable[[str], bool],
) -> None:
    """Write down which file was archived last at each target that has the file that was asked for.

    is_ahead: whether PostgreSQL has yet to come to a file; one that lies at a target already stays the newest there.
    """
    notes = ArchiveNotes(settings, chosen.name, "wal")
    stands = stands_of(notes.read(), chosen.targets)
    for name, archived in newest.items():
        fresh = {"archived": archived.wal, "written_at": archived.at.isoformat()}
        known = stands[name].get("archived")
        if known is not None and archiving_order(known) > archiving_order(archived.wal) and is_ahead(known):
            fresh = {"archived": known, "written_at": stands[name]["written_at"]}
        now = datetime.now(UTC).isoformat()
        stands[name] = {**_NOTHING, **fresh, "archived_at": now, "has": _content(asked)}
    notes.note(told(stands))


def note_failed(settings: BackupSettings, chosen: SetSettings, errors: Mapping[str, BackupError]) -> None:
    """Write down which targets could not be given a file, why, and since when."""
    notes, now = ArchiveNotes(settings, chosen.name, "wal"), datetime.now(UTC)
    stands = stands_of(notes.read(), chosen.targets)
    fresh = {name: failed({**_NOTHING, **stands[name]}, str(error), now) for name, error in errors.items()}
    notes.note(told(stands | fresh))


def _content(each: WalObject) -> str:
    return f"{each.wal}-{each.digest}"
