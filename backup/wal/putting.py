"""PostgreSQL's archive_command: the WAL file is at each of the set's targets, sealed and compared, or it fails.

A failure loses nothing: PostgreSQL keeps the file and asks again, as long as its own disk has room. How long it has
failed stands in the set's state, so that it is seen before that disk is full.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.errors import BackupError, Cancelled, ConfigInvalid, SourceFailed
from backup.keys.ring import KeyRing
from backup.model import Place
from backup.saving.disk_mark import DiskMark
from backup.targets.registry import open_target
from backup.wal.archive import MOST_BYTES, WalArchive, fits
from backup.wal.names import is_wal_name
from backup.wal.state import note_archived, note_failed

if TYPE_CHECKING:
    from pathlib import Path

    from backup.settings.document import BackupSettings, SetSettings
    from backup.wal.names import WalObject

# Rounded up, never down: a segment that seems to end before a moment must have nothing of later than it.
_CLOCK_SECONDS: Final = 0.1  # how much a file system's clock may lag
_CONTROL_FILE: Final = "global/pg_control"  # its first eight bytes are the system identifier (pg_control.h)


def put_wal(settings: BackupSettings, set_name: str, path: Path) -> WalObject:
    """Archive the WAL file at `path`, which lies in its cluster's pg_wal, into a set of a base backup.

    Raises the BackupError that says why not, after the state has it. The same file may be put again.
    """
    chosen = settings.find_set(set_name)
    if chosen.postgresql_base is None:
        raise ConfigInvalid(f"set {set_name!r} saves no cluster: WAL belongs to a set with [sets.postgresql_base]")
    try:
        archived = _put(settings, chosen, path.absolute())
    except BackupError as error:
        note_failed(settings, set_name, str(error))
        raise
    note_archived(settings, set_name, archived)
    return archived


def _put(settings: BackupSettings, chosen: SetSettings, path: Path) -> WalObject:
    if not is_wal_name(path.name):
        raise SourceFailed(f"{path} is no WAL file: archive_command is to give %p")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceFailed(
                f"{path} is larger than {MOST_BYTES >> 20} MiB: WAL segments of this size are not archived"
            )
        content = path.read_bytes()
        written_at = datetime.fromtimestamp(int(path.stat().st_mtime + _CLOCK_SECONDS) + 1, UTC)
        (system,) = struct.unpack("=Q", (path.parent.parent / _CONTROL_FILE).read_bytes()[:8])
    except (OSError, struct.error) as error:
        raise SourceFailed(f"{path} and {_CONTROL_FILE} beside its folder cannot be read: {error}") from error
    if not fits(path.name, content, system):
        raise SourceFailed(f"{path} is not the segment its name says; nothing of it was archived")
    now = datetime.now(UTC)
    failure: BackupError | None = None
    with KeyRing(settings.keys.host, settings.keys.host_passphrase_file) as ring:
        ring.demand_no_decryption_key()
        signer, recipients = ring.signing_key(now), ring.recipients(settings.keys.recipients, now)
        for name in chosen.targets:
            try:
                # No target.reach(): where a disk is not mounted it would make the root anew. A base backup's run does.
                at = settings.find_target(name)
                with open_target(at) as target:
                    DiskMark(settings, at, target).demand(chosen.name)
                    place = Place(host=settings.host_of(chosen), set=chosen.name)
                    archive = WalArchive(target, place, ring, system)
                    archived = archive.put(path.name, content, written_at, signer, recipients)
            except Cancelled:
                raise
            except BackupError as error:  # the others shall have it all the same
                failure = failure or error
    if failure is not None:
        raise failure
    return archived
