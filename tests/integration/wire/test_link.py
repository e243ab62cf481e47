"""One publisher, one collector, real sockets: everything arrives, whatever happens on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.wire.curve import make_keys
from tests.support.links import End, Origin, peer_of, running
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_is_appended_arrives_once_and_is_acknowledged_as_stored(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end):
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        origin.publish(500)
        async with running(origin):
            await until(lambda: end.ledger.has(500), what="the records of before the link")
            origin.publish(500)
            await until(lambda: end.ledger.has(1000), what="the records appended meanwhile")
            await until(lambda: origin.notes.acks["stored"].covers(1, 1000), what="the acknowledgements")
            assert end.ledger.received_records == 1000
            assert origin.spool.held_records == 0
            assert origin.notes.welcomes[0].epoch == 1
