"""Coverage through the real server: an unprotected host is a problem, a backup or a waiver ends it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from core.runtime.clock import SystemClock
from server.inventory.apply import install_shipped
from server.reign import Reign
from tests.integration.api.data import define, store_host, store_values
from tests.integration.api.people import sign_in_new
from tests.integration.api.site import open_site
from tests.integration.ingest.test_reign import throne
from tests.support.waiting import until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import date
    from pathlib import Path

    from server.store.database import Database, DatabaseOptions
    from tests.integration.api.data import StoredHost


def day(offset: int) -> date:
    """Return a day by its distance from today; tomorrow is not over, and yesterday is, also when midnight passes."""
    return datetime.now(UTC).date() + timedelta(days=offset)


@asynccontextmanager
async def reigning(options: DatabaseOptions, database: Database, folder: Path) -> AsyncIterator[None]:
    """Let a real server reign, with its picture looking at the store as the daemon has it do."""
    async with throne(options, database, folder) as on:
        tasks = [
            asyncio.create_task(Reign(on.realm, on.lease).run()), asyncio.create_task(on.realm.picture.keep_looking())
        ]  # fmt: skip
        try:
            yield
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def know_since(database: Database, age: timedelta) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE host SET created_at = now() - %s", (age,))


async def store_set(database: Database, host: str, age: timedelta, name: str = "files") -> StoredHost:
    """Store what an agent would say now of a daily set whose newest good backup is this old."""
    made = await store_host(database, host, f"backup.age_seconds[{name}]", f"backup.period_seconds[{name}]")
    now = SystemClock().now_us()
    await store_values(database, made, f"backup.age_seconds[{name}]", [now], [age.total_seconds()])
    await store_values(database, made, f"backup.period_seconds[{name}]", [now], [86_400.0], number=2)
    return made


async def problems(database: Database) -> list[tuple[str, bool]]:
    """Return (name, whether it is over) of every problem, oldest first."""
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT name, resolved_at IS NOT NULL FROM problem ORDER BY id")
        return [(row[0], row[1]) for row in await cursor.fetchall()]


def waiver(until: date, *hosts: str) -> dict[str, object]:
    return {
        "kind": "waiver", "name": "w", "hosts": list(hosts), "until": until.isoformat(), "reason": "it holds nothing",
    }  # fmt: skip


async def test_a_host_nobody_saves_is_a_problem_until_it_is_waived_and_again_when_the_waiver_ends(
    database_options: DatabaseOptions, database: Database, tmp_path: Path
) -> None:
    await install_shipped(database)
    await store_set(database, "saved", timedelta(hours=3))
    await define(database, *({"kind": "host", "name": name} for name in ("bare", "saved")))
    await know_since(database, timedelta(days=3))

    async def seen(*wanted: tuple[str, bool]) -> bool | None:
        return True if await problems(database) == list(wanted) else None

    async with reigning(database_options, database, tmp_path):
        title = "bare is not backed up"
        await until_found(lambda: seen((title, False)), 60, "the problem of the host without a backup")
        await define(database, waiver(day(1), "bare"))
        await until_found(lambda: seen((title, True)), 60, "its end by the waiver")
        await define(database, waiver(day(-1), "bare"))
        await until_found(lambda: seen((title, True), (title, False)), 60, "the problem again, for the waiver is over")


async def test_what_the_server_says_of_a_host_is_no_sign_of_life_of_it(
    database_options: DatabaseOptions, database: Database, tmp_path: Path
) -> None:
    await install_shipped(database)
    await define(database, {"kind": "host", "name": "bare"})
    async with reigning(database_options, database, tmp_path), open_site(database, SystemClock()) as site:
        await site.sign_in()

        async def said() -> bool | None:
            items = (await site.get("/items", host="bare"))["items"]
            return (
                True if {item["key"] for item in items} == {"backup.coverage", "backup.unprotected_seconds"} else None
            )

        await until_found(said, 60, "the server's items of the host")
        assert (await site.get("/hosts/bare"))["state"] == "unknown"


async def test_the_api_says_of_every_host_how_it_stands_and_by_what(database: Database) -> None:
    until = day(1).isoformat()
    await store_set(database, "web1", timedelta(hours=3))
    await store_set(database, "hyper1", timedelta(hours=1), "vm1")
    await store_set(database, "own", timedelta(hours=1), "watchkeep-database")
    await define(
        database,
        {"kind": "host", "name": "web1", "groups": ["web"]},
        {"kind": "host", "name": "vm1", "groups": ["web"], "backup": {"by": ["hyper1/vm1"], "within": "2h"}},
        {"kind": "host", "name": "cache1", "groups": ["caches"]},
        {"kind": "host", "name": "own"},
        {"kind": "waiver", "name": "w", "groups": ["caches"], "until": until, "reason": "caches"},
    )
    await know_since(database, timedelta(days=3))
    async with open_site(database, SystemClock()) as site:
        await site.sign_in()
        found = await site.get("/backups/coverage")
        assert found["counts"] == {"covered": 2, "waived": 1, "new": 0, "unprotected": 1}
        stands = {host["host"]: (host["state"], host["by"]) for host in found["hosts"]}
        assert stands == {
            "cache1": ("waived", None),
            "own": ("unprotected", None),  # Watchkeep's own sets save Watchkeep, not the host
            "vm1": ("covered", "hyper1/vm1"),
            "web1": ("covered", "web1/files"),
        }
        assert found["hosts"][0]["waiver"] == {"name": "w", "until": until, "reason": "caches"}
        headers = await sign_in_new(site, "webber", "viewer", ["web"])
        async with site.stranger.get(site.api("/backups/coverage"), headers=headers) as answer:
            cut = await answer.json()
        assert {host["host"]: (host["state"], host["by"]) for host in cut["hosts"]} == {
            "vm1": ("covered", None),  # by a set of a host he may not see
            "web1": ("covered", "web1/files"),
        }
        assert "hyper1" not in str(cut)
