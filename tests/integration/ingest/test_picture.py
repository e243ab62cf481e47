"""The server's picture of who may speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.runtime.clock import SystemClock
from server.picture import Picture
from server.store.peers import PeerKey, add_key, ensure_source, read_keys, read_sources
from tests.unit.server.intake.arrivals import AGENT_KEY, MINE

if TYPE_CHECKING:
    import pytest

    from server.store.database import Connection, Database
    from server.store.peers import Source


async def test_who_is_enrolled_while_it_is_drawn_is_never_let_in_without_a_source(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records would be refused for ever for want of the source, and the agent would forget them."""

    async def enrol() -> None:
        async with database.connection() as connection, connection.transaction():
            source = await ensure_source(connection, MINE, "mine", None)
            key = PeerKey(
                key=AGENT_KEY, role="agent", name="mine", source_id=source.id, source_uuid=MINE, group_id=None,
                revoked_at=None,
            )  # fmt: skip
            await add_key(connection, key)

    reads: list[str] = []

    async def keys_then_enrol(connection: Connection) -> list[PeerKey]:
        found = await read_keys(connection)
        reads.append("keys")
        if len(reads) == 1:
            await enrol()
        return found

    async def sources_then_enrol(connection: Connection) -> list[Source]:
        found = await read_sources(connection)
        reads.append("sources")
        if len(reads) == 1:
            await enrol()
        return found

    monkeypatch.setattr("server.picture.read_keys", keys_then_enrol)
    monkeypatch.setattr("server.picture.read_sources", sources_then_enrol)
    picture = Picture(database, SystemClock())
    await picture.look()
    assert sorted(reads) == ["keys", "sources"]
    assert all(peer.source in picture.directory.sources for peer in picture.directory.peers.values())
    await picture.look()
    assert picture.peer(AGENT_KEY) is not None
