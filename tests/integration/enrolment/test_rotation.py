"""Whose new key is accepted, beside which old one, and when the old one goes: judged by the store, against cheats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from core.runtime.clock import SystemClock
from core.security.authority import Peer
from core.security.enrolment import Newcomer
from core.security.keys import key_text
from core.wire.curve import make_keys
from core.wire.messages import Hello, NewKey, Presence, PresenceRow
from server.enrolment.admission import Place, let_in
from server.enrolment.rotation import Rotations
from server.intake.presence import PresenceBook
from server.picture import Picture
from server.store.database import Database
from server.store.peers import PeerKey, add_key, ensure_group, find_key, revoke_key
from server.store.rotation import MAX_OFFERS, ask_rotation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.store.database import DatabaseOptions

pytestmark = pytest.mark.trial("S-6")


@dataclass
class Server:
    """What an active server does about keys, over a real database; links are told to it by hand."""

    database: Database
    picture: Picture
    presence: PresenceBook
    rotations: Rotations
    refused: list[str]
    is_active: list[bool]

    async def agent(self, group: str = "default") -> Peer:
        key, source, name = make_keys().public, uuid4(), f"rotating-{uuid4().hex[:8]}"
        newcomer = Newcomer(name=name, key=key, source=source, software="x")
        place = Place(host=name, is_named=False, templates=(), groups=(), proxy_group=group)
        async with self.database.connection() as connection, connection.transaction():
            await let_in(connection, newcomer, place, by="tester")
        return await self.peer(key)

    async def proxy(self, group: str) -> Peer:
        key = make_keys().public
        async with self.database.connection() as connection:
            group_id = await ensure_group(connection, group)
            row = PeerKey(
                key=key, role="proxy", name=f"proxy of {group}", source_id=None, source_uuid=None, group_id=group_id,
                revoked_at=None,
            )  # fmt: skip
            await add_key(connection, row)
        return await self.peer(key)

    async def peer(self, key: bytes) -> Peer:
        await self.picture.look()
        found = self.picture.peer(key)
        assert found is not None
        return found

    async def ask(self, peer: Peer) -> str:
        async with self.database.connection() as connection, connection.transaction():
            return await ask_rotation(connection, peer.key, by="tester")

    async def offer(self, by: Peer, old: bytes) -> bytes:
        new = make_keys().public
        await self.rotations.offered(by, NewKey(old=old, new=new))
        await self.rotations.look()
        return new

    async def speaks(self, key: bytes) -> bool:
        async with self.database.connection() as connection:
            found = await find_key(connection, key)
        return found is not None and found.revoked_at is None

    def told(self, peer: Peer) -> object:
        return self.rotations.amended(peer.source or b"", {}).get("rotation")


@pytest.fixture
async def server(options: DatabaseOptions) -> AsyncIterator[Server]:
    clock = SystemClock()
    refused: list[str] = []
    is_active = [True]
    async with Database(options) as database:
        picture, presence = Picture(database, clock), PresenceBook(clock)
        rotations = Rotations(
            database=database,
            clock=clock,
            directory=lambda: picture.directory,
            presence=presence,
            is_active=lambda: is_active[0],
            count_refusal=lambda _, detail: refused.append(detail),
        )
        yield Server(database, picture, presence, rotations, refused, is_active)


def _row(source: bytes, key: bytes) -> PresenceRow:
    return PresenceRow(
        source=source, key=key, session=1, connected_at=1, heard_at=1, boot=1, number=1, waiting_records=0,
        waiting_bytes=0, skew_us=0, software="x",
    )  # fmt: skip


def _hello(peer: Peer) -> Hello:
    return Hello(
        protocol=1, role=peer.role, name=peer.name, source=peer.source, session=1, boots=(), configuration=0, epoch=0,
        software="x",
    )  # fmt: skip


async def test_the_old_key_goes_when_its_holder_is_heard_under_the_new_one_and_not_before(server: Server) -> None:
    agent, proxy = await server.agent("dmz"), await server.proxy("dmz")
    assert await server.ask(agent) == "asked"
    assert await server.ask(agent) == "asked_before"
    await server.rotations.look()
    assert server.told(agent) == {"old": key_text(agent.key), "new": None, "refused": None}
    new = await server.offer(proxy, agent.key)
    assert server.told(agent) == {"old": key_text(agent.key), "new": key_text(new), "refused": None}
    assert await server.speaks(agent.key)
    assert await server.speaks(new)
    successor = await server.peer(new)
    assert (successor.role, successor.name, successor.source) == ("agent", agent.name, agent.source)
    server.presence.heard(proxy, _hello(proxy))
    server.presence.heard(proxy, Presence(is_first=True, links=(_row(agent.source or b"", agent.key),)))
    await server.rotations.look()
    assert await server.speaks(agent.key), "heard under the old one"
    server.presence.heard(proxy, Presence(is_first=True, links=(_row(agent.source or b"", new),)))
    server.is_active[0] = False
    await server.rotations.look()
    assert await server.speaks(agent.key), "a standby decides nothing"
    server.is_active[0] = True
    await server.rotations.look()
    assert not await server.speaks(agent.key)
    assert await server.speaks(new)
    await server.rotations.look()
    assert server.told(agent) is None


async def test_an_agent_linked_to_the_server_itself_replaces_its_key_too(server: Server) -> None:
    agent = await server.agent()
    await server.ask(agent)
    new = await server.offer(agent, agent.key)
    successor = await server.peer(new)
    server.presence.heard(successor, _hello(successor))
    await server.rotations.look()
    assert not await server.speaks(agent.key)


async def test_a_key_nobody_asked_for_is_not_accepted(server: Server) -> None:
    agent = await server.agent()
    new = await server.offer(agent, agent.key)
    assert not await server.speaks(new)
    assert server.refused == [f"{agent.name} offered a new key: not_asked"]


async def test_nobody_brings_a_new_key_for_somebody_else(server: Server) -> None:
    victim, agent, proxy = await server.agent("dmz"), await server.agent(), await server.proxy("elsewhere")
    await server.ask(victim)
    for cheat in (agent, proxy):
        assert not await server.speaks(await server.offer(cheat, victim.key))
    await server.offer(agent, bytes(32))
    assert len(server.refused) == 3
    assert all(each.endswith("brought a new key for somebody else") for each in server.refused)


async def test_a_key_that_is_somebodys_already_is_not_accepted_as_a_new_one(server: Server) -> None:
    agent, other = await server.agent(), await server.agent()
    await server.ask(agent)
    await server.rotations.offered(agent, NewKey(old=agent.key, new=other.key))
    assert server.refused == [f"{agent.name} offered a new key: known"]
    assert (await server.peer(other.key)).source == other.source


async def test_a_later_offer_takes_the_place_of_the_earlier_and_they_have_an_end(server: Server) -> None:
    agent = await server.agent()
    await server.ask(agent)
    offered = [await server.offer(agent, agent.key) for _ in range(MAX_OFFERS + 1)]
    speaking = [await server.speaks(key) for key in offered]
    assert speaking == [False] * (MAX_OFFERS - 1) + [True, False]
    assert server.refused == [f"{agent.name} offered a new key: too_many"]


async def test_revoking_a_key_takes_the_one_that_was_to_replace_it_along(server: Server) -> None:
    agent = await server.agent()
    await server.ask(agent)
    new = await server.offer(agent, agent.key)
    async with server.database.connection() as connection:
        assert await revoke_key(connection, agent.key)
        assert not await revoke_key(connection, agent.key)
    assert not await server.speaks(agent.key)
    assert not await server.speaks(new)
    assert not await server.speaks(await server.offer(agent, agent.key)), "and no other comes after it"
    assert await server.ask(agent) == "revoked"


async def test_of_a_revoked_new_key_its_holder_is_told_so_that_it_makes_another(server: Server) -> None:
    agent = await server.agent()
    await server.ask(agent)
    new = await server.offer(agent, agent.key)
    async with server.database.connection() as connection:
        assert await revoke_key(connection, new)
    await server.rotations.look()
    assert server.told(agent) == {"old": key_text(agent.key), "new": None, "refused": key_text(new)}
    assert await server.speaks(agent.key)
    assert await server.speaks(await server.offer(agent, agent.key))


async def test_only_agents_keys_are_replaced(server: Server) -> None:
    assert await server.ask(await server.proxy("dmz")) == "no_agent"
    nobody = Peer(key=bytes(32), role="agent", name="nobody", source=UUID(int=1).bytes)
    assert await server.ask(nobody) == "unknown"
