"""A PostgreSQL database is saved while it is written to, and comes back with the rows it had at that moment (B-6)."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from backup.errors import DestinationInUse
from backup.loading.archive import load_archive
from backup.proof.cluster import ScratchCluster
from backup.proof.contract import Limits
from backup.runtime.child import Program, run
from backup.sources.postgresql.dump import count_rows
from backup.sources.postgresql.psql import client_environment, client_program, program_major, session
from tests.support.backup_site import backup_site, bkp, bkp_ok

if TYPE_CHECKING:
    from tests.support.postgres import DatabaseServer

pytestmark = pytest.mark.trial("B-6")

_SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE "Odd Name" (id int REFERENCES customer, amount numeric);
INSERT INTO customer SELECT n, 'customer ' || n FROM generate_series(1, 500) n;
INSERT INTO "Odd Name" SELECT n, n * 1.5 FROM generate_series(1, 200) n;
CREATE VIEW rich AS SELECT name FROM customer;
"""


def test_a_database_comes_back_with_equal_row_counts_and_never_into_one_that_is_in_use(
    embedded: DatabaseServer, tmp_path: Path
) -> None:
    with embedded.fresh_database() as shop, embedded.fresh_database() as back, backup_site() as site:
        with psycopg.connect(shop, autocommit=True) as connection:
            connection.execute(_SHOP)
        login = conninfo_to_dict(shop)
        passfile = site.folder / "pgpass"
        passfile.write_text(f"*:*:*:*:{login['password']}\n")
        passfile.chmod(0o600)
        site.add_folder_target()
        site.add_database_set("shop", "store", f'database = "{login["dbname"]}"\nhost = "{login["host"]}"\n'
                              f'port = {login["port"]}\nuser = "{login["user"]}"\npassfile = "{passfile}"')  # fmt: skip
        site.write()
        bkp_ok("run", "shop", config=site.host)
        with psycopg.connect(shop, autocommit=True) as connection:
            connection.execute("INSERT INTO customer VALUES (501, 'late')")
        made = bkp_ok("run", "shop", config=site.host)
        assert made["kind"] == "incremental", made["reason"]
        points = bkp_ok("list", "web1/shop", config=site.station)["points"]

        first = bkp_ok("restore", "web1/shop", "--at", points[-1]["at"], "--to", str(tmp_path / "dump"),
                       "--into-database", back, config=site.station)  # fmt: skip
        assert (first["database"]["tables"], first["database"]["rows"]) == (2, 700)
        assert first["database"]["is_compared"]
        with psycopg.connect(back) as connection:
            assert connection.execute("SELECT count(*), max(name) FROM customer").fetchone() == (500, "customer 99")
            assert connection.execute('SELECT sum(amount) FROM "Odd Name"').fetchone() == (30_150.0,)
        used = bkp("restore", "web1/shop", "--to", str(tmp_path / "again"), "--into-database", back,
                   config=site.station)  # fmt: skip
        assert used.exit_code == 52
        assert "has 2 tables already" in used.errors
        assert not (tmp_path / "again").exists()  # it was seen before anything was fetched
        absent = bkp("restore", "web1/shop", "--to", str(tmp_path / "again"), "--dry-run", "--into-database",
                     "postgresql://nobody@127.0.0.1:1/back", config=site.station)  # fmt: skip
        assert (absent.exit_code, "does not answer" in absent.errors) == (52, True), absent.errors
        assert str(login["password"]) not in used.errors

        with psycopg.connect(back, autocommit=True) as connection:
            connection.execute("DROP VIEW rich")
            connection.execute('DROP TABLE "Odd Name", customer')
            connection.execute("CREATE TABLE other (id int)")
        part = ["restore", "web1/shop", "--into-database", back, "--table"]
        one = bkp_ok(*part, "customer", "--to", str(tmp_path / "one"), config=site.station)["database"]
        assert (one["tables"], one["rows"], one["is_compared"]) == (1, 501, True)
        assert [words.split()[0] for words in one["left_out"]] == ["view", "fk"]
        there = bkp(*part, "public.customer", "--to", str(tmp_path / "two"), config=site.station)
        assert (there.exit_code, "already" in there.errors) == (52, True), there.errors
        odd = bkp_ok(*part, 'public."Odd Name"', "--to", str(tmp_path / "three"), config=site.station)["database"]
        assert (odd["rows"], odd["left_out"][0].startswith("fk constraint")) == (200, True)
        none = bkp(*part, "nothing", "--to", str(tmp_path / "four"), config=site.station)
        assert (none.exit_code, "public.customer" in none.errors) == (51, True), none.errors


def test_a_dump_made_by_newer_programs_is_loaded_into_the_older_server_it_is_of(tmp_path: Path) -> None:
    (programs,) = Path("/usr/lib/postgresql").glob("1[5-9]/bin")
    server = ScratchCluster(tmp_path, programs, Limits(deadline=time.monotonic() + 3600, memory_bytes=1 << 30))
    server.make()
    with server.running():
        shop, back = (replace(server.login(name), binaries=None) for name in ("shop", "back"))
        with session(server.login(), 300) as psql:
            psql.ask("CREATE DATABASE shop; CREATE DATABASE back;")
        with session(shop, 300) as psql:
            psql.ask(_SHOP)
            psql.ask("CREATE TABLE note (words text); INSERT INTO note VALUES ('SET transaction_timeout = 0;');")
            rows = count_rows(psql)
        server_major = int(programs.parent.name)
        assert program_major(shop, "pg_dump", server_major) == server_major < program_major(shop, "pg_dump")
        dumping = Program(
            arguments=[client_program(shop, "pg_dump"), "--format=directory", f"--file={tmp_path / 'dump'}"],
            environment=client_environment(shop), doing="dumping",
        )  # fmt: skip
        dumped = run(dumping, time_limit_seconds=300)
        assert dumped.exit_code == 0, dumped.words

        load_archive(back, tmp_path / "dump", (), time_limit_seconds=300)
        with session(back, 300) as psql:
            assert count_rows(psql) == rows
            assert psql.ask("SELECT words FROM note;") == [["SET transaction_timeout = 0;"]]
        with pytest.raises(DestinationInUse, match=r"psql ended .* already exists"):
            load_archive(back, tmp_path / "dump", ["--single-transaction"], time_limit_seconds=300)
