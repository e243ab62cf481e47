"""PostgreSQL's archive_command: the WAL file is at each of the set's targets, sealed and compared, or it fails.

A failure loses nothing: PostgreSQL keeps the file and asks again, as long as its own disk has room. How long it has
failed stands in the set's state, so that it is seen before that disk is full. It asks for that file alone until all
have it; those that do get what comes after it meanwhile (`backup/wal/ahead.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backup.errors import BackupError, Cancelled, ConfigInvalid
from backup.keys.ring import KeyRing
from backup.model import Place
from backup.saving.archive_opening import open_for_archive
from backup.wal.ahead import is_ready, put_ahead
from backup.wal.archive import WalArchive, digest_of
from backup.wal.names import WalObject
from backup.wal.segment_file import read_file
from backup.wal.state import note_archived, note_failed, those_having

if TYPE_CHECKING:
    from pathlib import Path

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


def put_wal(settings: BackupSettings, set_name: str, path: Path) -> None:
    """Archive the WAL file at `path`, which lies in its cluster's pg_wal, into a set of a base backup.

    Raises the BackupError that says why not, after the state has it. The same file may be put again.
    """
    chosen = settings.find_set(set_name)
    if chosen.postgresql_base is None:
        raise ConfigInvalid(f"set {set_name!r} saves no cluster: WAL belongs to a set with [sets.postgresql_base]")
    path = path.absolute()
    try:
        asked, newest, errors = _put(settings, chosen, path)
    except Cancelled:
        raise
    except BackupError as error:
        note_failed(settings, chosen, dict.fromkeys(chosen.targets, error))
        raise
    note_archived(settings, chosen, newest, asked, lambda wal: is_ready(path.parent, wal))
    if errors:
        note_failed(settings, chosen, errors)
        raise next(iter(errors.values()))


def _put(
    settings: BackupSettings, chosen: SetSettings, path: Path
) -> tuple[WalObject, dict[str, WalObject], dict[str, BackupError]]:
    """Put a file everywhere; return it, the newest file of each target that has it, and why the others have not."""
    file = read_file(path)
    asked = WalObject(wal=path.name, at=file.written_at, digest=digest_of(file.content))
    having = those_having(settings, chosen, asked)
    now = datetime.now(UTC)
    place = Place(host=settings.host_of(chosen), set=chosen.name)
    newest: dict[str, WalObject] = {}
    errors: dict[str, BackupError] = {}
    with KeyRing(settings.keys.host, settings.keys.host_passphrase_file) as ring:
        ring.demand_no_decryption_key()
        keys = ring.signing_key(now), ring.recipients(settings.keys.recipients, now)
        for name in chosen.targets:
            if name in having:  # it was compared there when it was asked for before
                newest[name] = asked
                continue
            try:
                with open_for_archive(settings, name, chosen.name) as target:
                    archive = WalArchive(target, place, ring, file.system_identifier)
                    newest[name] = archive.put(path.name, file.content, file.written_at, *keys)
            except Cancelled:
                raise
            except BackupError as error:  # the others shall have it all the same
                errors[name] = error
        for name in list(newest) if errors else ():
            try:
                with open_for_archive(settings, name, chosen.name) as target:
                    archive = WalArchive(target, place, ring, file.system_identifier)
                    for newest[name] in put_ahead(archive, path, keys):
                        pass
            except Cancelled:
                raise
            except BackupError as error:
                errors[name] = error
    return asked, newest, errors
