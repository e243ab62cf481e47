"""H5 over the API: every record's class, where records are missing and why, and the same for a graph's items."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from core.model.gaps import Gap, Run
from core.model.ranges import RangeSet
from server.store.gap_ledger import read_totals
from server.store.gaps import replace_gaps
from server.store.quarantine import PoisonRecord, quarantine
from server.store.received import ReceivedDelta, record_received
from tests.integration.api.data import store_host

if TYPE_CHECKING:
    from server.store.database import Database
    from tests.integration.api.data import StoredHost
    from tests.integration.api.site import Site

SECOND = 1_000_000
LIFE = 5


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).isoformat()


async def store_life(database: Database, host: StoredHost, now: int) -> None:
    """Store a closed life of 30: 1 to 10 and 16 to 25 stored, 11 to 13 lost, 14 poison, 15 open, the rest open."""
    delta = ReceivedDelta(
        source_id=host.source,
        boot=LIFE,
        ranges=RangeSet([(1, 10), (16, 25)]),
        runs=(Run(1, 10, now - 90 * SECOND, now - 60 * SECOND), Run(16, 25, now - 30 * SECOND, now - 10 * SECOND)),
        late=2,
        replayed=5,
        lost=RangeSet([(11, 13)]),
        refused=RangeSet([(14, 14)]),
        last_number=30,
    )
    poison = PoisonRecord(source=UUID(int=host.id), boot=LIFE, number=14, reason="no such item", record=b"x")
    async with database.connection() as connection, connection.transaction():
        await record_received(connection, [delta])
        gap = Gap(11, 15, now - 60 * SECOND, now - 30 * SECOND)
        await replace_gaps(connection, [], [((host.source, LIFE), gap)])
        await quarantine(connection, [poison])


async def test_a_hosts_records_are_counted_by_class_and_their_gaps_say_when_and_why(
    signed_in: Site, database: Database
) -> None:
    now = time.time_ns() // 1_000_000 * 1000
    host = await store_host(database, "db1", "cpu.busy")
    await store_life(database, host, now)
    (source,) = (await signed_in.get("/hosts/db1/ledger"))["sources"]
    assert (source["name"], source["is_own"]) == ("db1", True)
    life = next(each for each in source["lives"] if each["boot"] == f"{LIFE:016x}")
    counts = {"in_time": 13, "late": 2, "replayed": 5, "lost": 3, "refused": 1, "open": 6}
    assert life["counts"] == counts
    assert (life["is_closed"], life["last_number"], life["more_gaps"]) == (True, 30, 0)
    assert sum(counts.values()) == 30

    def gap(fate: str, first: int, last: int) -> dict[str, Any]:
        (found,) = [each for each in life["gaps"] if (each["fate"], each["first"], each["last"]) == (fate, first, last)]
        return dict(found)

    lost = gap("lost", 11, 13)
    assert "dropped them" in lost["reason"]
    assert datetime.fromisoformat(lost["after"]).timestamp() * SECOND == now - 60 * SECOND
    assert datetime.fromisoformat(lost["before"]).timestamp() * SECOND == now - 30 * SECOND
    assert gap("refused", 14, 14)["reason"] == "no such item"
    assert "missing" in gap("open", 15, 15)["reason"]
    tail = gap("open", 26, 30)
    assert datetime.fromisoformat(tail["after"]).timestamp() * SECOND == now - 10 * SECOND
    assert tail["before"] is None


async def test_a_graph_learns_when_records_of_its_items_are_missing(signed_in: Site, database: Database) -> None:
    now = time.time_ns() // 1_000_000 * 1000
    host, other = await store_host(database, "db1", "cpu.busy"), await store_host(database, "web1", "cpu.busy")
    await store_life(database, host, now)

    async def gaps(item: int, begin: int, end: int) -> list[tuple[str, int, int, int]]:
        span: dict[str, Any] = {"from": _iso(now + begin * SECOND), "to": _iso(now + end * SECOND)}
        found = (await signed_in.get("/gaps", item=item, **span))["gaps"]
        return [(g["fate"], g["begin"] - now // 1000, g["end"] - now // 1000, g["records"]) for g in found]

    inner = [("lost", -60_000, -30_000, 3), ("refused", -60_000, -30_000, 1), ("open", -60_000, -30_000, 1)]
    assert await gaps(host.items["cpu.busy"], -600, 0) == [*inner, ("open", -10_000, 0, 5)]
    assert await gaps(host.items["cpu.busy"], -50, -40) == [(f, -50_000, -40_000, n) for f, _, _, n in inner]
    assert await gaps(host.items["cpu.busy"], -600, -100) == []
    assert await gaps(other.items["cpu.busy"], -600, 0) == []


async def test_the_totals_tell_sources_that_lack_something_and_a_ledger_that_does_not_add_up(
    signed_in: Site, database: Database
) -> None:
    now = time.time_ns() // 1000
    await store_life(database, await store_host(database, "db1", "cpu.busy"), now)
    await store_host(database, "web1", "cpu.busy")
    totals = {each["source"]: each for each in (await signed_in.get("/ledger"))["sources"]}
    assert totals["db1"]["counts"] == {"in_time": 13, "late": 2, "replayed": 5, "lost": 3, "refused": 1, "open": 6}
    assert (totals["db1"]["missing"], totals["db1"]["adds_up"], totals["db1"]["host"]) == (0, True, "db1")
    assert sum(totals["web1"]["counts"].values()) == 0
    async with database.connection() as connection:
        await connection.execute("UPDATE received SET closed_at = now() - interval '2 hours' WHERE boot = %s", (LIFE,))
        await connection.execute("UPDATE received SET lost = lost + '{[1,2]}' WHERE boot = %s", (LIFE,))
        (db1, _) = await read_totals(connection)
    assert (db1.missing, db1.wrong_lives) == (6, 1)
