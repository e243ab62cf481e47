"""`watchkeep coverage` as an operator calls it, against a real database."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from server.store.audit import AuditFilter, read_audit
from tests.integration.api.data import define
from tests.integration.inventory.test_commands import watchkeep

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import Database


async def test_a_host_without_a_backup_is_shown_waived_and_shown_again(data: Path, database: Database) -> None:
    await define(database, {"kind": "host", "name": "db1"})
    async with database.connection() as connection:
        await connection.execute("UPDATE host SET created_at = now() - interval '3 days'")
    shown = watchkeep(data, "coverage", "show")
    assert shown.returncode == 1
    assert "no backup set saves it" in shown.stdout
    assert "1 hosts: 1 unprotected" in shown.stdout
    until = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    waived = watchkeep(data, "coverage", "waive", "db1", "--until", until, "--reason", "a test")
    assert waived.returncode == 0, waived.stderr
    found = watchkeep(data, "coverage", "show", "--json")
    assert found.returncode == 0
    (host,) = json.loads(found.stdout)["hosts"]
    assert (host["state"], host["waiver"]) == ("waived", f"db1-{until}")
    ended = watchkeep(data, "coverage", "unwaive", f"db1-{until}")
    assert ended.returncode == 0, ended.stderr
    assert watchkeep(data, "coverage", "show", "--unprotected").returncode == 1
    async with database.connection() as connection:
        entries = await read_audit(connection, AuditFilter(action="definitions.change"))
    assert [(entry.actor, entry.object) for entry in entries][:2] == [
        (f"watchkeep coverage ({getpass.getuser()})", f"delete waiver/db1-{until}"),
        (f"watchkeep coverage ({getpass.getuser()})", f"create waiver/db1-{until}"),
    ]


async def test_what_a_waiver_lacks_is_said_with_its_remedy(data: Path, database: Database) -> None:
    await define(database, {"kind": "host", "name": "db1"})
    stranger = watchkeep(data, "coverage", "waive", "db2", "--until", "2027-03-31", "--reason", "a test")
    assert stranger.returncode == 2
    assert "names the host 'db2', which does not exist" in stranger.stderr
    day = watchkeep(data, "coverage", "waive", "db1", "--until", "soon", "--reason", "a test")
    assert day.returncode == 2
    assert "expected a day like 2027-03-31" in day.stderr
    unknown = watchkeep(data, "coverage", "unwaive", "nothing")
    assert unknown.returncode == 2
    assert "there is no waiver 'nothing'" in unknown.stderr
