"""A database on a watched host that no set saves is a problem of its own, until it is waived or saved."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from core.runtime.account import account_for
from tests.support.mariadb import mariadb_server
from tests.support.waiting import wait_until
from tests.system.installation import watchkeep
from watchkeep.up.enrolment import TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.api import Api
    from tests.support.mariadb import MariadbServer
    from tests.system.installation import LocalWatchkeep

WAIT_SECONDS = 300
OTHERS = [name for name in TEMPLATES if name != "inventory"]  # one looks elsewhere
INVENTORY = """
kind: template
name: inventory-here
items:
  - {{probe: inventory, every: 1s, parameters: {{mariadb: ["{socket}"], postgresql: ["/nowhere"], libvirt: []}}}}
  - {{probe: backup, every: 1s, parameters: {{folder: "{state}"}}}}
---
kind: host
name: {host}
templates: [{templates}, inventory-here]
"""
SET = """
[[sets]]
name = "billing"
target = "here"
schedule = "never"
mariadb.database = "billing"
mariadb.socket = "{socket}"
mariadb.user = "{account}"
"""


def apply(running: LocalWatchkeep, text: str) -> None:
    done = watchkeep("apply", "--overwrite", "-", "--data", str(running.data), stdin=text)
    assert done.returncode == 0, done.stderr


@contextmanager
def watched(running: LocalWatchkeep) -> Iterator[MariadbServer]:
    """A MariaDB that lets the installation's account in; its agent looks there, `billing.toml` has a set of it."""
    account = account_for(running.data, [Path(sys.executable)])
    name = subprocess.run([*account.prefix, "id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    folder = running.data / "backup"
    with mariadb_server() as server:
        server.folder.chmod(0o755)
        server.sql("CREATE DATABASE billing")
        server.sql("CREATE TABLE bill (id int PRIMARY KEY)", "billing")
        if name != "root":
            server.sql(f"CREATE USER {name}@localhost; GRANT ALL ON *.* TO {name}@localhost")
        facts = {"host": running.host, "socket": server.socket, "state": folder / "state"}
        sets = SET.format(socket=server.socket, account=name)
        (folder / "billing.toml").write_text((folder / "backup.toml").read_text() + sets)
        (folder / "billing.toml").chmod(0o644)
        try:
            apply(running, INVENTORY.format(**facts, templates=", ".join(OTHERS)))
            yield server
        finally:
            (folder / "billing.toml").unlink()
            apply(running, f"kind: host\nname: {running.host}\ntemplates: [{', '.join(TEMPLATES)}]\n")


def thing(api: Api, host: str) -> dict[str, Any]:
    (found,) = [each for each in api.get("/backups/coverage")["hosts"] if each["host"] == host]
    return next((each for each in found["things"] if each["name"] == "billing"), {})


def known_for_days(running: LocalWatchkeep) -> bool:
    """Let what the host said first be of days ago; tell whether it has said something."""
    dsn = json.loads((running.data / "installation.json").read_text())["dsn"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        aged = connection.execute(
            "UPDATE history_text SET at = at - interval '3 days' WHERE position('billing' in value) > 0"
            " AND item_id IN (SELECT id FROM item WHERE key = 'inventory.databases')"
        )
        return aged.rowcount > 0


def test_a_database_nobody_saves_is_a_problem_by_name_until_it_is_waived_and_none_once_it_is_saved(
    running: LocalWatchkeep,
) -> None:
    api, host, data = running.api(), running.host, ("--data", str(running.data))
    title = f"Not backed up: database billing on {host}"
    waiver = {"hosts": [host], "things": ["database:bill*"], "until": "2099-12-31", "reason": "a test"}

    def is_open() -> bool:
        return title in {each["name"] for each in api.get("/problems")["problems"]}

    with watched(running):
        wait_until(lambda: thing(api, host).get("state") == "new", WAIT_SECONDS, "the database, known to the server")
        wait_until(lambda: known_for_days(running), WAIT_SECONDS, "what its host said of it")
        wait_until(lambda: thing(api, host).get("state") == "unprotected", WAIT_SECONDS, "that it is not new")
        api.send("PUT", "/definitions/waiver/other", waiver | {"things": ["database:x"]})  # the server looks at once
        wait_until(is_open, WAIT_SECONDS, "the problem")
        shown = watchkeep("coverage", "show", "--unprotected", "--json", *data)
        assert shown.returncode == 1
        (told,) = json.loads(shown.stdout)["hosts"]
        assert [(each["kind"], each["name"]) for each in told["things"]] == [("database", "billing")]
        assert api.send("PUT", "/definitions/waiver/billing", waiver)[0] == 200
        wait_until(lambda: not is_open(), WAIT_SECONDS, "its end by the waiver")
        assert thing(api, host)["state"] == "waived"

        assert running.bkp("run", "billing", config=running.data / "backup" / "billing.toml").returncode == 0
        wait_until(lambda: thing(api, host)["state"] == "covered", WAIT_SECONDS, "the backup of it")
        assert thing(api, host)["by"] == f"{host}/billing"
        for name in ("billing", "other"):
            assert api.send("DELETE", f"/definitions/waiver/{name}")[0] == 200
        assert thing(api, host)["waiver"] is None
        assert not is_open()
