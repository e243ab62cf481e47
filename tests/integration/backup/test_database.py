"""A PostgreSQL database is saved while it is written to, and comes back with the rows it had at that moment (B-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.backup_site import backup_site, bkp, bkp_ok

if TYPE_CHECKING:
    from pathlib import Path

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
