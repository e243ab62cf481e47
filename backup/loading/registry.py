"""The kinds of dumps that can be loaded; each is imported only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backup.errors import NotInBackup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backup.model import Manifest


def load_dump(
    manifest: Manifest, restored: Path, dsn: str, time_limit_seconds: float, tables: Sequence[str] = ()
) -> dict[str, Any]:
    """Load the dump in `restored` into the database of `dsn`; return tables, rows and what was compared.

    tables: only these, into a database that is there and may have others. A whole PostgreSQL dump goes into an empty
    database, one of MariaDB or MySQL into one that is not there yet. Raises NotInBackup (it is no dump, or has no such
    table), DestinationInUse (the database is in use, or cannot be reached), BackupDamaged (rows are not those saved).
    """
    if manifest.source == "postgresql":
        from backup.loading import postgresql  # noqa: PLC0415 - only what is used is imported

        return postgresql.load_dump(manifest, restored, dsn, time_limit_seconds, tables)
    if manifest.source in ("mariadb", "mysql"):
        from backup.loading import mariadb  # noqa: PLC0415 - only what is used is imported

        if tables:
            return mariadb.load_tables(manifest, restored, dsn, tables, time_limit_seconds)
        return mariadb.load_dump(manifest, restored, dsn, time_limit_seconds)
    raise _no_dump(manifest)


def demand_loadable(manifest: Manifest) -> None:
    """Return when there is a dump to load, before anything of it is fetched. Raises NotInBackup."""
    if manifest.source not in ("postgresql", "mariadb", "mysql"):
        raise _no_dump(manifest)


def _no_dump(manifest: Manifest) -> NotInBackup:
    return NotInBackup(
        f"set {manifest.set!r} saves {manifest.source}, which is no database dump: restore it without --into-database"
    )
