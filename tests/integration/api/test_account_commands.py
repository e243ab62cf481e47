"""`watchkeep user`, `token` and `audit`, as typed; and the audit log's chain."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from server.store.audit import verify_audit
from server.store.database import Database, DatabaseOptions
from server.store.migrate import migrate, read_migrations
from tests.integration.api.site import USER
from tests.integration.api.test_users import ask
from watchkeep.__main__ import cli
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from click.testing import Result

    from tests.integration.api.site import Site


async def test_users_are_added_changed_listed_and_removed(
    signed_in: Site, options: DatabaseOptions, tmp_path: Path
) -> None:
    added = await run(options, tmp_path, "user", "add", "anna", "--role", "viewer", "--group", "web")
    assert added.exit_code == 0, added.output
    body = {"user": "anna", "password": added.stdout.strip()}
    async with signed_in.stranger.post(signed_in.api("/session"), json=body) as answer:
        assert (await answer.json())["groups"] == ["web"]
    changed = await run(options, tmp_path, "user", "change", "anna", "--role", "operator", "--all-groups")
    assert changed.exit_code == 0, changed.output
    assert "operator" in (await run(options, tmp_path, "user", "list")).output
    listed = await read(options, tmp_path, "user", "list")
    anna = next(user for user in listed["users"] if user["name"] == "anna")
    assert (anna["role"], anna["groups"], anna["sessions"]) == ("operator", None, 1)
    assert (await run(options, tmp_path, "user", "password", "anna", "--generate")).exit_code == 0
    assert (await run(options, tmp_path, "user", "remove", "anna")).exit_code == 0
    entries = (await read(options, tmp_path, "audit", "--action", "account", "--object", "anna"))["entries"]
    assert [entry["action"] for entry in entries] == [
        "account.remove",
        "account.password",
        "account.change",
        "account.create",
    ]


async def test_what_the_commands_refuse_they_explain(site: Site, options: DatabaseOptions, tmp_path: Path) -> None:
    tries = {
        "last administrator": ["user", "remove", USER],
        "already": ["user", "add", USER, "--role", "viewer"],
        "name": ["user", "add", "no blanks", "--role", "viewer"],
        "administrator": ["user", "add", "ben", "--role", "administrator", "--group", "web"],
        "no user 'nobody'": ["user", "change", "nobody", "--role", "viewer"],
        "there is no user": ["token", "create", "x", "--user", "nobody"],
        "no token": ["token", "revoke", "7"],
    }
    for said, arguments in tries.items():
        result = await run(options, tmp_path, *arguments)
        assert (result.exit_code, said in result.stderr) == (2, True), (arguments, result.output)
        assert said in (await run(options, tmp_path, *arguments, "--json")).stdout
    assert [user.name for user in await site.services.users.list()] == [USER]


async def test_a_token_from_the_command_line_opens_the_api_until_it_is_revoked(
    site: Site, options: DatabaseOptions, tmp_path: Path
) -> None:
    made = await run(options, tmp_path, "token", "create", "report", "--user", USER, "--days", "1")
    assert made.exit_code == 0, made.output
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert (await ask(site, "GET", "/session", headers))[1]["role"] == "viewer"
    (token,) = (await read(options, tmp_path, "token", "list"))["tokens"]
    assert (token["name"], token["owner"], token["is_expired"]) == ("report", USER, False)
    assert "report" in (await run(options, tmp_path, "token", "list", "--user", USER)).output
    assert (await run(options, tmp_path, "token", "revoke", str(token["id"]))).exit_code == 0
    assert (await ask(site, "GET", "/session", headers))[0] == 401


async def test_the_chain_names_the_first_row_that_is_not_as_it_was_written(
    signed_in: Site, database: Database, options: DatabaseOptions, tmp_path: Path
) -> None:
    audits = (
        signed_in.services.accounts.audit(
            actor=f"user {n}", action="test.é", object_="x", address="", detail={"b": [1.5, None], "a": "\n\"'"}
        )
        for n in range(20)
    )
    await asyncio.gather(*audits)  # at once: the chain puts them in line
    whole = await read(options, tmp_path, "audit", "--verify")
    assert (whole["is_whole"], whole["rows"]) == (True, 22)
    await signed_in.services.accounts.audit(actor="a", action="b", object_="c", address="")
    await read(options, tmp_path, "audit", "--verify", "--head", whole["head"])
    other = await run(options, tmp_path, "audit", "--verify", "--head", "0" * 63 + "1")
    assert (other.exit_code, "written anew" in other.output) == (1, True)
    async with database.connection() as connection:
        rows = await (await connection.execute("SELECT id FROM audit ORDER BY link")).fetchall()
        ids = [row[0] for row in rows]
        forgeries = (
            ("UPDATE audit SET actor = 'somebody else' WHERE id = %s", ids[9], ids[9]),
            ("UPDATE audit SET at = at + interval '1 microsecond' WHERE id = %s", ids[0], ids[0]),
            ("UPDATE audit SET detail = '{}' WHERE id = %s", ids[5], ids[5]),
            ("DELETE FROM audit WHERE id = %s", ids[5], ids[6]),
            ("DELETE FROM audit WHERE id = %s", ids[-1], len(ids)),
        )
        for forgery, row, broken_id in forgeries:
            async with connection.transaction(force_rollback=True):
                await connection.execute(forgery, (row,))
                assert (await verify_audit(connection)).broken_id == broken_id, forgery
        await connection.execute("UPDATE audit SET object = 'y' WHERE id = %s", (ids[9],))
    broken = await run(options, tmp_path, "audit", "--verify")
    assert (broken.exit_code, f"entry {ids[9]}" in broken.output) == (1, True)


async def test_entries_from_before_the_chain_are_chained_by_the_migration(request: pytest.FixtureRequest) -> None:
    with request.getfixturevalue("embedded").fresh_database() as dsn:
        options = DatabaseOptions(dsn=dsn, server="web")
        migrations = read_migrations()
        await migrate(options, [each for each in migrations if each.number < 4])
        async with Database(options) as database, database.connection() as connection:
            insert = "INSERT INTO audit (actor, action, object) VALUES ('a', 'b.c', 'd'), ('é', 'f', '')"
            await connection.execute(insert)
            await migrate(options, [each for each in migrations if each.number <= 4])
            await connection.execute(insert)  # as the previous version writes it, which knows no chain
            verdict = await verify_audit(connection)
            assert (verdict.rows, verdict.broken_id) == (4, None)


async def run(options: DatabaseOptions, folder: Path, *arguments: str) -> Result:
    """Run the command in a thread: it has an event loop of its own."""
    Installation(dsn=options.dsn, url="", server="one").write(folder)
    return await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, "--data", str(folder)])


async def read(options: DatabaseOptions, folder: Path, *arguments: str) -> Any:
    """Run the command for a program and return its answer."""
    result = await run(options, folder, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
