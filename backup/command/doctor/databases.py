"""What `bkp doctor` says of databases that are dumped here: whether programs, server and rights are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.command.doctor.finding import Finding
from backup.errors import BackupError
from backup.saving.archive_notes import ArchiveNotes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


def examine_database(settings: BackupSettings, chosen: SetSettings) -> Iterator[Finding]:
    """Yield how the MariaDB or MySQL of a set is, and how its binary log or WAL is archived; nothing of other sets."""
    if chosen.mariadb is not None or chosen.mysql is not None:
        yield from _examine_dump(settings, chosen)
    source = chosen.mariadb or chosen.mysql or chosen.mariadb_base
    if source is not None and source.binary_logs is not None:
        yield from _examine_binlog(settings, chosen)
    if chosen.postgresql_base is not None:
        notes = ArchiveNotes(settings, chosen.name, "wal").read() or {}
        if notes.get("error"):
            text = f"not all of it is archived: {notes['error']}"
            yield Finding(what=f"WAL of set {chosen.name}", level="warning", text=text, remedy="PostgreSQL tries again")


def _examine_dump(settings: BackupSettings, chosen: SetSettings) -> Iterator[Finding]:
    from backup.sources.mysql.dumped_database import DumpedDatabase  # noqa: PLC0415 - only what is used is imported
    from backup.sources.registry import source_of  # noqa: PLC0415 - only what is used is imported

    source = source_of(settings, chosen)
    assert isinstance(source, DumpedDatabase)  # noqa: S101 - for the type checker
    what = f"set {chosen.name}"
    try:
        yield Finding(what=what, level="ok", text=source.examine())
    except BackupError as error:
        yield Finding(what=what, level="fault", text=str(error), remedy="mend that: its next run would fail by it")


def _examine_binlog(settings: BackupSettings, chosen: SetSettings) -> Iterator[Finding]:
    from backup.binlog.server import server_of  # noqa: PLC0415 - only what is used is imported
    from backup.binlog.standings import KIND  # noqa: PLC0415

    what = f"binary log of set {chosen.name}"
    try:
        situation = server_of(chosen).look()
    except BackupError as error:
        yield Finding(
            what=what, level="fault", text=str(error), remedy="mend that: nothing of it is archived until then"
        )
        return
    yield Finding(what=what, level="ok", text=f"{situation.version} writes one that can be archived")
    for remark in situation.remarks:
        yield Finding(what=what, level="warning", text=remark, remedy="a restore would refuse, or differ by it")
    notes = ArchiveNotes(settings, chosen.name, KIND).read() or {}
    if notes.get("error"):
        text = f"not all of it is archived: {notes['error']}"
        yield Finding(what=what, level="warning", text=text, remedy=f"bkp binlog archive {chosen.name} tries again")
    if gap := notes.get("gap"):
        yield Finding(what=what, level="warning", text=f"a gap: {gap}", remedy=f"bkp run {chosen.name}")
