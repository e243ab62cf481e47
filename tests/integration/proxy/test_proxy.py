"""Agent, proxy, server: custody keeps what it promised, and what the server says reaches the sources."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.spool.spool import Spool, SpoolLimits
from core.wire.collector import CollectorFault
from core.wire.curve import make_keys
from core.wire.messages import Configuration, Configured, CountersReport, Presence
from proxy.custody import Custody
from proxy.seen import SeenNumbers
from tests.support.links import End, Origin, peer_of, revoked, running
from tests.support.proxies import Middle, knowledge, teach
from tests.support.records import OTHER, SOURCE, record
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from core.security.authority import Peer
    from core.security.keys import KeyPair


@asynccontextmanager
async def serving(
    folder: Path, *servers: End, peers: Sequence[Peer] = (), spool_limit: int = 64 << 20
) -> AsyncIterator[Middle]:
    """Run the servers and a proxy before them that knows `peers`."""
    async with running(*servers):
        middle = Middle(folder, [server.upstream for server in servers], spool_limit=spool_limit)
        for server in servers:
            server.ring.put(middle.peer)
        try:
            await middle.start()
            await tell(servers[0], middle, knowledge(peers))
            yield middle
        finally:
            await middle.stop()


async def tell(server: End, middle: Middle, message: Configuration) -> None:
    """Wait for the link, then configure the proxy, and wait for its answer."""
    await until(lambda: any(link.role == "proxy" for link in server.collector.links()), what="the proxy's link")
    answers = len(heard(server, Configured))
    assert await teach(server, middle, message)
    await until(lambda: len(heard(server, Configured)) > answers, what="the proxy's answer")


def heard(server: End, kind: type[Any]) -> list[Any]:
    return [message for message in server.ledger.heard_messages if isinstance(message, kind)]


async def test_records_pass_through_custody_and_stored_comes_back(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)]) as middle:
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        async with running(origin):
            origin.publish(1000)
            await until(lambda: server.ledger.has(1000), what="the records at the server")
            await until(lambda: origin.notes.acks["stored"].covers(1, 1000), what="stored at the source")
            await until(lambda: origin.notes.acks["taken"].covers(1, 1000), what="taken, which a busy disk says later")
            assert origin.spool.held_records == 0
            assert server.ledger.received_records == 1000


async def test_the_server_hears_which_sources_the_proxy_hears(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)]) as middle:
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        origin.publish(3)
        async with running(origin):
            await until(lambda: any(message.links for message in heard(server, Presence)))
            await until(lambda: any(row.number == 3 for row in heard(server, Presence)[-1].links))
            row = heard(server, Presence)[-1].links[0]
            assert (row.source, row.key, row.boot) == (SOURCE.bytes, keys.public, origin.boot)
            await until(lambda: bool(heard(server, CountersReport)))
        await until(lambda: not heard(server, Presence)[-1].links, what="the goodbye passed on")


@pytest.mark.trial("R1")
async def test_what_was_taken_survives_proxy_and_server_dying(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)]) as middle:
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        async with running(origin):
            await server.stop()
            origin.publish(500)
            await until(lambda: origin.notes.acks["taken"].covers(1, 500), what="taken without a server")
            assert origin.spool.held_records == 500
            await middle.stop()
            origin.publish(500)
            await middle.start()
            await until(lambda: origin.notes.acks["taken"].covers(1, 1000), what="taken by the restarted proxy")
            await server.start()
            await until(lambda: server.ledger.has(1000))
            await until(lambda: origin.spool.held_records == 0, what="stored at the source")
            assert server.ledger.received_records == 1000, "what the proxy held was not taken twice"


@pytest.mark.trial("R1")
async def test_a_proxy_whose_disk_is_lost_loses_nothing(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)]) as middle:
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        async with running(origin):
            await server.stop()
            origin.publish(500)
            await until(lambda: origin.notes.acks["taken"].covers(1, 500))
            await middle.stop()
            shutil.rmtree(tmp_path / "middle")
            await server.start()
            await middle.start()
            await tell(server, middle, knowledge([peer_of(keys)]))
            await until(lambda: server.ledger.has(500))
            await until(lambda: origin.spool.held_records == 0)


async def test_a_record_the_proxys_disk_damaged_is_taken_again(tmp_path: Path) -> None:
    clock, counters = SystemClock(), Counters()
    spool = Spool.open(tmp_path / "spool", SpoolLimits(segment_bytes=64 << 10))
    custody = Custody(spool=spool, seen=SeenNumbers(tmp_path / "seen"), clock=clock, counters=counters)
    try:
        await custody.take(record(1) + record(2) + record(3))
        (file,) = (tmp_path / "spool").glob("*.segment")
        damaged = file.read_bytes().replace(record(2), bytes(len(record(2))))
        file.write_bytes(damaged)
        assert spool.read(spool.begin, 1 << 20) is not None
        assert spool.damages
        await custody.take(record(1) + record(2) + record(3))
        assert counters.get("custody.repeated_records") == 2
        (ranges,) = spool.unstored().values()
        assert ranges.covers(1, 3)
    finally:
        custody.close()


@pytest.mark.trial("R6")
async def test_a_source_that_moves_to_another_proxy_is_stored_and_both_let_go(tmp_path: Path) -> None:
    server, keys = End(), make_keys()
    async with serving(tmp_path / "a", server, peers=[peer_of(keys)]) as first:
        second = Middle(tmp_path / "b", [server.upstream])
        server.ring.put(second.peer)
        await second.start()
        try:
            await until(lambda: len(server.collector.links()) == 2)
            answers = len(heard(server, Configured))
            assert await teach(server, second, knowledge([peer_of(keys)]))
            await until(lambda: len(heard(server, Configured)) > answers)
            origin = Origin(tmp_path / "origin", [first.upstream, second.upstream], keys=keys)
            async with running(origin):
                await server.stop()
                origin.publish(300)
                await until(lambda: origin.notes.acks["taken"].covers(1, 300))
                await first.stop()
                origin.publish(300)
                await until(lambda: origin.publisher.state.upstream == second.upstream, what="the move")
                await server.start()
                await until(lambda: server.ledger.has(600))
                await until(lambda: origin.spool.held_records == 0, what="stored by the other way")
                await first.start()
                await until(lambda: server.ledger.received_records >= 900, what="the late records of the first")
        finally:
            await second.stop()


async def test_a_full_proxy_grants_no_credit_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    server.ledger.says_stored = False
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)], spool_limit=16 << 20) as middle:
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        async with running(origin):
            for _ in range(60):
                origin.publish(10, values=2500)  # 24 MB in all
            await until(lambda: origin.notes.acks["taken"].highest > 300, what="most of the room used")
            await until(lambda: origin.publisher.state.window == 0 and origin.is_up, what="the credit withdrawn")
            taken = origin.notes.acks["taken"].highest
            assert taken < 600
            server.ledger.says_stored = True
            await until(lambda: server.ledger.has(taken))
            server.collector.acknowledge("stored", server.ledger.received)
            await until(lambda: server.ledger.has(600))
            await until(lambda: origin.spool.held_records == 0)
            assert origin.counters.get("link.sessions") == 1


async def test_a_document_reaches_the_source_at_its_coming_and_when_it_changes(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    async with serving(tmp_path / "middle", server) as middle:
        documents: dict[bytes, dict[str, Any]] = {SOURCE.bytes: {"version": 4, "probes": []}}
        await tell(server, middle, knowledge([peer_of(keys)], documents, version=2))
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        async with running(origin):
            await until(lambda: len(origin.notes.configurations) == 1)
            assert origin.notes.configurations[0] == Configuration(epoch=1, version=4, body=documents[SOURCE.bytes])
            documents[OTHER.bytes] = {"version": 1}
            await tell(server, middle, knowledge([], documents, version=3, is_full=False))
            documents[SOURCE.bytes] = {"version": 5, "probes": [{"probe": "cpu"}]}
            await tell(server, middle, knowledge([], documents, version=4, epoch=2, is_full=False))
            await until(lambda: len(origin.notes.configurations) == 2)
            assert origin.notes.configurations[1] == Configuration(epoch=2, version=5, body=documents[SOURCE.bytes])


async def test_configuration_and_key_ring_outlive_the_proxy_while_servers_are_away(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)]) as middle:
        await tell(server, middle, knowledge([peer_of(keys)], {SOURCE.bytes: {"version": 9}}, version=2, epoch=3))
        await server.stop()
        await middle.stop()
        await middle.start()
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        async with running(origin):
            await until(lambda: len(origin.notes.configurations) == 1)
            assert origin.notes.configurations[0].version == 9
            assert origin.notes.epoch == 3
        await server.start()


async def test_a_revoked_agent_is_refused_at_once_and_a_stranger_never_enters(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)]) as middle:
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        stranger = Origin(tmp_path / "stranger", [middle.upstream], source=OTHER)
        async with running(origin, stranger):
            await until(lambda: origin.is_up)
            await tell(server, middle, knowledge([revoked(peer_of(keys))], version=2, is_full=False))
            origin.publish(1)
            await until(lambda: not origin.is_up)
            await until(lambda: "does not accept our key" in origin.publisher.state.trouble)
            await until(lambda: "does not accept our key" in stranger.publisher.state.trouble)
            await until(lambda: not middle.links, what="the end of the link")
            assert not server.ledger.received


async def test_a_configuration_that_cannot_be_read_changes_nothing_and_is_answered(tmp_path: Path) -> None:
    server = End()
    keys = make_keys()
    bad: list[dict[str, Any]] = [
        {}, {"full": True, "peers": 7, "documents": []}, {"full": True, "peers": [[b"short"]], "documents": []},
        {"full": False, "peers": [], "documents": [], "more": 1},
        {"full": True, "peers": [], "documents": [[SOURCE.bytes, 1, "x"]]},
    ]  # fmt: skip
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)]) as middle:
        for body in bad:
            await tell(server, middle, Configuration(epoch=1, version=8, body=body))
            assert heard(server, Configured)[-1].error.startswith("expected ")
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        origin.publish(5)
        async with running(origin):
            await until(lambda: server.ledger.has(5))


async def test_a_source_that_was_rolled_back_is_told_what_was_seen_also_after_a_restart(tmp_path: Path) -> None:
    server = End()
    keys: KeyPair = make_keys()
    async with serving(tmp_path / "middle", server, peers=[peer_of(keys)]) as middle:
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        origin.publish(40)
        async with running(origin):
            await until(lambda: origin.spool.held_records == 0 and origin.notes.acks["stored"].covers(1, 40))
        await middle.stop()
        await middle.start()
        again = Origin(tmp_path / "again", [middle.upstream], keys=keys)
        async with running(again):
            await until(lambda: bool(again.notes.welcomes))
            assert [row[:2] for row in again.notes.welcomes[0].seen] == [(again.boot, 40)]
            assert again.notes.welcomes[0].role == "proxy"


async def test_a_proxy_goes_to_the_active_server_and_follows_it(tmp_path: Path) -> None:
    keys = make_keys()
    one, two = End(), End()
    async with serving(tmp_path / "middle", one, two, peers=[peer_of(keys)]) as middle:
        origin = Origin(tmp_path / "origin", [middle.upstream], keys=keys)
        async with running(origin):
            origin.publish(100)
            await until(lambda: one.ledger.has(100))
            two.ledger.reign(2)
            await one.stop()
            origin.publish(100)
            await until(lambda: two.ledger.has(200, first=101))
            await one.start()
            await until(lambda: origin.spool.held_records == 0)
            await until(lambda: origin.notes.epoch == 2)
            assert origin.counters.get("link.sessions") == 1, "the agent did not notice"


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    server = End()
    async with serving(tmp_path / "middle", server) as middle:
        rival = Middle(tmp_path / "rival", [server.upstream])
        rival._ports = middle._ports
        with pytest.raises(CollectorFault, match=f"127.0.0.1:{middle._ports[0]}: Address already in use"):
            await rival.start()
