"""Agent, proxy, server: custody keeps what it promised, and what the server says reaches the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.wire.messages import Presence
from tests.support.links import End, Origin, running
from tests.support.proxies import Middle, knowledge, teach
from tests.support.records import SOURCE
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from core.wire.messages import Configuration


async def tell(server: End, middle: Middle, message: Configuration) -> None:
    """Wait for the link, then configure the proxy."""
    await until(lambda: any(link.role == "proxy" for link in server.collector.links()), what="the proxy's link")
    assert await teach(server, middle, message)


async def test_records_pass_through_custody_and_stored_comes_back(tmp_path: Path) -> None:
    server = End()
    middle = Middle(tmp_path / "middle", [])
    server.ring.put(middle.peer)
    async with running(server):
        middle = Middle(tmp_path / "middle", [server.upstream])
        await middle.start()
        origin = Origin(tmp_path / "origin", [middle.upstream])
        await tell(server, middle, knowledge([origin.peer]))
        try:
            async with running(origin):
                origin.publish(1000)
                await until(lambda: server.ledger.has(1000), what="the records at the server")
                await until(lambda: origin.notes.acks["stored"].covers(1, 1000), what="stored at the source")
                assert origin.notes.acks["taken"].covers(1, 1000)
                assert origin.spool.held_records == 0
                assert server.ledger.received_records == 1000
                await until(
                    lambda: any(
                        isinstance(message, Presence) and message.links and message.links[0].source == SOURCE.bytes
                        for message in server.ledger.heard_messages
                    ),
                    what="the proxy's presence",
                )
        finally:
            await middle.stop()
