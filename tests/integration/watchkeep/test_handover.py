"""`watchkeep server handover` where it cannot be done; the trials of takeovers show where it can."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from server.store.audit import AuditFilter, read_audit
from server.store.database import Database
from server.store.lease import beat, take
from server.store.migrate import migrate
from server.store.servers import note_presence, wished_handover
from tests.integration.watchkeep.test_server_by_hand import watchkeep

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import DatabaseOptions


def hand_over(data: Path, *options: str) -> tuple[int, dict[str, object]]:
    done = watchkeep("server", "handover", "--json", "--data", str(data), *options)
    return done.returncode, json.loads(done.stdout)


async def test_without_an_active_server_or_a_standby_it_says_so_and_asks_nobody(
    options: DatabaseOptions, data: Path
) -> None:
    await migrate(options)
    code, answer = hand_over(data)
    assert code == 2
    assert "no server is active" in str(answer["message"])

    async with Database(options) as database, database.connection(60) as connection:
        lease = await take(options, endpoint="here", stale_after_seconds=0)
        assert lease is not None
        await beat(connection, lease.epoch)
        await connection.execute("UPDATE lease_heartbeat SET at = now() + interval '1 minute'")  # it beats on
        code, answer = hand_over(data)
        assert code == 2
        assert "no other server stands by for one" in str(answer["message"])
        assert await wished_handover(connection, lease.epoch) is None


async def test_a_standby_that_does_not_take_over_is_told_and_the_wish_is_in_the_audit_log(
    options: DatabaseOptions, data: Path
) -> None:
    await migrate(options)
    async with Database(options) as database, database.connection(60) as connection:
        lease = await take(options, endpoint="here", stale_after_seconds=0)
        assert lease is not None
        await connection.execute("UPDATE lease_heartbeat SET at = now() + interval '1 minute'")
        await note_presence(connection, name="two", endpoint="", software="", links=0, callers=[])
        await connection.execute("UPDATE server_presence SET seen_at = now() + interval '1 minute'")
        code, answer = hand_over(data, "--timeout", "1")
        assert code == 1
        assert (answer["handed_over"], answer["by"], answer["to"]) == (False, "one", None)
        assert "server handover" in str(await wished_handover(connection, lease.epoch))
        (entry,) = await read_audit(connection, AuditFilter(action="server.handover"))
        assert entry.object == f"epoch/{lease.epoch}"
