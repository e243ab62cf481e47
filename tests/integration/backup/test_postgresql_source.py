"""A PostgreSQL database is dumped from one snapshot while others write."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from backup.errors import SourceFailed
from backup.model import Kind
from backup.settings.source import PostgresqlSettings
from backup.sources.postgresql.dump import DUMP_FOLDER, PostgresqlSource
from tests.support.backups import new_site
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backups import Pairs
    from tests.support.postgres import DatabaseServer

_TABLES = """
CREATE TABLE left_side (number int, words text);
CREATE TABLE "right Side" (number int);
CREATE TABLE parted (number int) PARTITION BY RANGE (number);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
INSERT INTO parted SELECT generate_series(0, 9);
"""


@pytest.fixture
def database(embedded: DatabaseServer) -> Iterator[str]:
    with embedded.fresh_database() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(_TABLES)
        yield dsn


@pytest.fixture
def settings(database: str, tmp_path: Path) -> PostgresqlSettings:
    parts = conninfo_to_dict(database)
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{parts['password']}\n")
    passfile.chmod(0o600)
    return PostgresqlSettings(
        database=str(parts["dbname"]), host=str(parts["host"]), port=int(parts["port"] or 5432),
        user=str(parts["user"]), passfile=passfile,
    )  # fmt: skip


def test_the_counted_rows_are_those_of_the_dump_while_others_write(
    database: str, settings: PostgresqlSettings, tmp_path: Path
) -> None:
    end, wrote = threading.Event(), threading.Event()

    def write() -> None:
        with psycopg.connect(database) as connection:
            while not end.is_set():
                connection.execute("INSERT INTO left_side SELECT g, 'x' FROM generate_series(1, 50) g")
                connection.execute('INSERT INTO "right Side" SELECT generate_series(1, 50)')
                connection.commit()
                wrote.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert wrote.wait(240)
        (tmp_path / "scratch").mkdir()
        with PostgresqlSource(settings, 600).prepare(tmp_path / "scratch") as prepared:
            rows = prepared.consistency["rows"]
            dumped = sorted(
                _lines(file) for file in (prepared.root / DUMP_FOLDER).glob("*.dat") if file.name[0].isdigit()
            )
            # The snapshot is given back before anything is uploaded; the server needs a moment to see that.
            with psycopg.connect(database, autocommit=True) as connection:
                wait_until(lambda: _sessions(connection) == 0, 120, "the end of its session")
    finally:
        end.set()
        writer.join()
    assert set(rows) == {"public.left_side", 'public."right Side"', "public.parted_low"}
    assert rows["public.left_side"] == rows['public."right Side"'] > 0
    assert dumped == sorted(rows.values())
    assert prepared.consistency["wal_lsn"]
    assert prepared.consistency["commits_blocked_seconds"] == 0.0
    assert prepared.consistency["changes_of_tables_blocked_seconds"] > 0


def test_a_database_is_saved_with_its_rows_and_a_change_makes_a_small_increment(
    database: str, settings: PostgresqlSettings, pairs: Pairs
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO left_side SELECT g, md5(g::text) FROM generate_series(1, 50000) g")
        source = (
            f'max_block_size = 4096\npostgresql.database = "{settings.database}"\npostgresql.host = "{settings.host}"\n'
            f'postgresql.port = {settings.port}\npostgresql.user = "{settings.user}"\n'
            f'postgresql.passfile = "{settings.passfile}"'
        )
        with new_site(pairs, source=source) as site:
            full = site.run()
            connection.execute("INSERT INTO left_side VALUES (50001, 'one more')")
            incremental = site.run()
            assert (full.kind, incremental.kind) == (Kind.FULL, Kind.INCREMENTAL)
            assert site.manifest()["consistency"]["rows"]["public.left_side"] == 50_001
            covers = {"engine": "postgresql", "port": settings.port, "databases": [settings.database]}
            assert site.state()["last_good"]["covers"] == covers | {"also": [], "keeps": [str(site.store)]}
            assert full.stored_bytes is not None
            assert incremental.stored_bytes is not None
            assert incremental.stored_bytes < full.stored_bytes / 10
            assert not any((site.folder / "host/work/files").glob("scratch*"))  # no dump stays in the clear


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"database": "nowhere"}, "does not exist"),
        ({"database": "postgresql://evil/"}, "does not exist"),
        ({"port": 1}, "onnection refused"),
        ({"passfile": None}, "no password supplied"),
    ],
)
def test_what_is_wrong_with_the_database_is_said_and_nothing_is_asked(
    settings: PostgresqlSettings, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    (tmp_path / "scratch").mkdir()
    source = PostgresqlSource(replace(settings, **changes), 600)  # type: ignore[arg-type] # parametrised
    with pytest.raises(SourceFailed, match=words), source.prepare(tmp_path / "scratch"):
        pass


def test_a_password_file_others_may_read_is_refused(settings: PostgresqlSettings, tmp_path: Path) -> None:
    assert settings.passfile is not None
    settings.passfile.chmod(0o644)
    with pytest.raises(SourceFailed, match="chmod 600"), PostgresqlSource(settings, 600).prepare(tmp_path):
        pass


def _sessions(connection: psycopg.Connection) -> int:
    question = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watchkeep-backup'"
    found = connection.execute(question).fetchone()
    assert found is not None
    return int(found[0])


def _lines(file: Path) -> int:
    """Return how many rows a file of pg_dump's directory format has; it ends in a line with a backslash and a dot."""
    return sum(1 for line in file.read_text().splitlines() if line and line != "\\.")
