"""From nothing but the target, the sheet and its passphrase, docs/disaster.md brings files and a database back."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support.backup_site import backup_site, bkp, bkp_ok
from tests.support.backups import change, demand_same, fill
from tests.support.disaster import follow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import DatabaseServer


def url_of(dsn: str) -> str:
    login = conninfo_to_dict(dsn)
    return f"postgresql://{login['user']}:{quote(str(login['password']))}@{login['host']}:{login['port']}/{login['dbname']}"


def test_everything_comes_back_on_a_new_machine_by_bkp_and_by_gpg_and_duplicity_alone(
    embedded: DatabaseServer, tmp_path: Path
) -> None:
    with embedded.fresh_database() as shop, embedded.fresh_database() as back, embedded.fresh_database() as again:
        with psycopg.connect(shop, autocommit=True) as connection:
            connection.execute("CREATE TABLE customer AS SELECT n FROM generate_series(1, 500) n")
        with backup_site() as site:
            data, store = site.folder / "data", tmp_path / "store"
            fill(data)
            target = site.add_folder_target()
            site.add_paths_set("files", "store", [data])
            login = conninfo_to_dict(shop)
            (site.folder / "pgpass").touch(mode=0o600)
            (site.folder / "pgpass").write_text(f"*:*:*:*:{login['password']}\n")
            site.add_database_set("shop", "store", f'database = "{login["dbname"]}"\nhost = "{login["host"]}"\n'
                                  f'port = {login["port"]}\nuser = "{login["user"]}"\npassfile = "pgpass"')  # fmt: skip
            site.write()
            bkp_ok("run", "files", config=site.host)
            change(data / "empty", "no more")
            for name in ("files", "shop"):
                bkp_ok("run", name, config=site.host)
            sheet = bkp("key", "escrow", config=site.station).output
            passphrase = (site.folder / "station/keys.passphrase").read_text()
            subprocess.run(["cp", "-a", str(target), str(store)], check=True, timeout=300)
            subprocess.run(["cp", "-a", str(data), str(tmp_path / "kept")], check=True, timeout=300)
        # The machine is gone with all its keys; `store`, sheet and passphrase are what is left.
        place = tmp_path / "new"
        place.mkdir()
        (place / "sheet.txt").write_text(sheet)
        listed = follow("key", place, said=passphrase, STORE=store)
        assert "files" in listed
        assert "shop" in listed
        assert (place / "station.passphrase").stat().st_mode & 0o077 == 0
        follow("files", place, STORE=store)
        demand_same(place / "files" / str(data)[1:], tmp_path / "kept")
        follow("database", place, STORE=store, DSN=url_of(back))
        assert count(back) == 500

        (place / "passphrase").write_text(passphrase)
        said = follow("by hand", place, STORE=store, DSN=url_of(again))
        assert said.count("Good signature") == 2
        demand_same(place / "by-hand-files" / str(data)[1:], tmp_path / "kept")
        assert count(again) == 500
        subprocess.run(["gpgconf", "--homedir", str(place / "key"), "--kill", "gpg-agent"], check=True, timeout=300)


def count(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM customer").fetchone()
    assert row is not None
    return int(row[0])
