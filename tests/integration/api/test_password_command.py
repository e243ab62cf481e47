"""`watchkeep password`, as typed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from click.testing import CliRunner

from tests.integration.api.site import USER
from watchkeep.installation import Installation
from watchkeep.password import password_command

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from server.store.database import DatabaseOptions
    from tests.integration.api.site import Site


async def test_a_generated_password_lets_in_and_ends_old_sessions(
    signed_in: Site, options: DatabaseOptions, tmp_path: Path
) -> None:
    result = await _run(options, tmp_path, "--generate")
    assert result.exit_code == 0, result.output
    await signed_in.get("/session", status=401)
    assert await signed_in.sign_in(result.stdout.strip()) == 200


async def test_a_password_comes_from_standard_input_or_is_asked_for_twice(
    site: Site, options: DatabaseOptions, tmp_path: Path
) -> None:
    assert (await _run(options, tmp_path, "--stdin", given="from the input, long\n")).exit_code == 0
    assert await site.sign_in("from the input, long") == 200
    result = await _run(options, tmp_path, given="asked for, long enough\n" * 2)
    assert result.exit_code == 0
    assert "asked for" not in result.output
    assert await site.sign_in("asked for, long enough") == 200


async def test_what_is_wrong_is_said_and_changes_nothing(site: Site, options: DatabaseOptions, tmp_path: Path) -> None:
    weak = await _run(options, tmp_path, "--stdin", given="short\n")
    assert (weak.exit_code, "10 to 256" in weak.output) == (2, True)
    unknown = await _run(options, tmp_path, "--generate", "--user", "nobody")
    assert (unknown.exit_code, "nobody" in unknown.output) == (2, True)
    nowhere = await asyncio.to_thread(CliRunner().invoke, password_command, ["--data", str(tmp_path / "empty")])
    assert nowhere.exit_code == 1
    assert "watchkeep up" in nowhere.output
    assert await site.sign_in() == 200
    assert (await site.get("/session"))["user"] == USER


async def test_without_a_database_the_command_says_so(tmp_path: Path) -> None:
    Installation(dsn="host=127.0.0.1 port=1 user=x dbname=x", url="", server="one").write(tmp_path)
    result = await asyncio.to_thread(CliRunner().invoke, password_command, ["--data", str(tmp_path), "--generate"])
    assert result.exit_code == 4
    assert "database" in result.output


async def _run(options: DatabaseOptions, folder: Path, *arguments: str, given: str = "") -> Result:
    """Run the command in a thread: it has an event loop of its own."""
    Installation(dsn=options.dsn, url="", server="one").write(folder)
    return await asyncio.to_thread(
        CliRunner().invoke, password_command, ["--data", str(folder), *arguments], input=given
    )
