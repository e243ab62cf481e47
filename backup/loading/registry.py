"""The kinds of dumps that can be loaded; each is imported only when it is used."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from backup.errors import DestinationInUse, NotInBackup, SourceFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backup.binlog.recovery import Way
    from backup.model import Manifest


_ASKING_SECONDS: Final = 60.0


def demand_loadable(manifest: Manifest, dsn: str, tables: Sequence[str] = ()) -> None:
    """Return when there is a dump, and the database of `dsn` can take it, before anything is fetched.

    Raises as `load_dump`.
    """
    with _destination():
        if manifest.source == "postgresql":
            from backup.loading import postgresql  # noqa: PLC0415 - only what is used is imported

            postgresql.demand_room_for(dsn, tables, _ASKING_SECONDS)
        elif manifest.source in ("mariadb", "mysql"):
            from backup.loading import mysql  # noqa: PLC0415 - only what is used is imported

            mysql.demand_room_for(manifest, dsn, tables)
        else:
            raise _no_dump(manifest)


def load_dump(
    manifest: Manifest,
    restored: Path,
    dsn: str,
    time_limit_seconds: float,
    tables: Sequence[str] = (),
    way: Way | None = None,
) -> dict[str, Any]:
    """Load the dump in `restored` into the database of `dsn`; return tables, rows and what was compared.

    tables: only these, into a database that is there and may have others. A whole PostgreSQL dump goes into an empty
    database, one of MariaDB or MySQL into one that is not there yet. way: of those, binary logs to replay after it.
    Raises NotInBackup (it is no dump, or has no such table), DestinationInUse (the database is in use, or cannot be
    reached), BackupDamaged (rows are not those saved).
    """
    with _destination():
        if manifest.source == "postgresql":
            from backup.loading import postgresql  # noqa: PLC0415 - only what is used is imported

            return postgresql.load_dump(manifest, restored, dsn, time_limit_seconds, tables)
        if manifest.source in ("mariadb", "mysql"):
            from backup.loading import mysql  # noqa: PLC0415 - only what is used is imported

            if tables:
                return mysql.load_tables(manifest, restored, dsn, tables, time_limit_seconds)
            return mysql.load_dump(manifest, restored, dsn, time_limit_seconds, way)
        raise _no_dump(manifest)


@contextmanager
def _destination() -> Iterator[None]:
    """Have what a database says that is loaded into count as said of the destination, not of a source."""
    try:
        yield
    except SourceFailed as error:
        raise DestinationInUse(str(error)) from error


def _no_dump(manifest: Manifest) -> NotInBackup:
    return NotInBackup(
        f"set {manifest.set!r} saves {manifest.source}, which is no database dump: restore it without --into-database"
    )
