"""Who may not speak is refused and counted, whatever it sends, and the others do not notice."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import zmq
import zmq.asyncio

from core.model.record import HEADER, Kind
from core.wire.codec import encode
from core.wire.curve import make_keys
from core.wire.frames import pack_envelope
from core.wire.limits import PROTOCOL
from core.wire.messages import Goodbye, Hello
from tests.support.links import SHORT, End, Origin, peer_of, revoked, running
from tests.support.records import OTHER, SOURCE, records
from tests.support.waiting import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    from core.security.keys import KeyPair

SESSION = 4711
pytestmark = pytest.mark.trial("S-6")


class Attacker:
    """Speaks the protocol by hand, so that it can speak it wrongly."""

    def __init__(self, context: zmq.asyncio.Context, keys: KeyPair, end: End) -> None:
        self.end = end
        self.control = self._socket(context, zmq.DEALER, keys)
        self.data = self._socket(context, zmq.XPUB, keys)
        self.control.connect(end.upstream.endpoint)

    def _socket(self, context: zmq.asyncio.Context, kind: int, keys: KeyPair) -> zmq.asyncio.Socket:
        socket = context.socket(kind)
        socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
        socket.curve_serverkey = self.end.keys.public
        socket.linger = 0
        socket.reconnect_ivl = -1
        return socket

    async def answer(self) -> dict[str, Any]:
        """The next answer that is no heartbeat."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                message: dict[str, Any] = msgpack.unpackb(await self.control.recv())
                if message["type"] != "heartbeat":
                    return message

    async def say_hello(self, source: UUID = SOURCE, **changes: Any) -> dict[str, Any]:
        hello: dict[str, Any] = {
            "role": "agent", "name": "x", "source": source.bytes, "session": SESSION, "boots": (),
            "configuration": 0, "epoch": 0, "software": "", "protocol": PROTOCOL,
        }  # fmt: skip
        await self.control.send(encode(Hello(**(hello | changes))))
        return await self.answer()

    async def open_data(self) -> None:
        self.data.connect(f"tcp://127.0.0.1:{self.end.collector.data_port}")
        assert await asyncio.wait_for(self.data.recv(), PATIENCE_SECONDS) == b"\x01"

    async def send_frame(self, frame: int, content: bytes, session: int = SESSION) -> None:
        await self.data.send_multipart([pack_envelope(session, frame), content])


@asynccontextmanager
async def attacking(end: End, keys: KeyPair) -> AsyncIterator[Attacker]:
    context = zmq.asyncio.Context()
    try:
        yield Attacker(context, keys, end)
    finally:
        context.destroy(linger=0)


@asynccontextmanager
async def bystander(end: End, folder: Path) -> AsyncIterator[Origin]:
    """Another source, which must not notice anything."""
    keys = make_keys()
    end.ring.put(peer_of(keys, OTHER, name="bystander"))
    origin = Origin(folder, [end.upstream], keys=keys, source=OTHER)
    async with running(origin):
        origin.publish(10)
        await until(lambda: end.ledger.has(10, source=OTHER))
        yield origin
        origin.publish(10)
        await until(lambda: end.ledger.has(20, source=OTHER), what="the bystander's records")
        assert origin.counters.get("link.sessions") == 1


async def test_an_unknown_key_gets_in_nowhere_and_the_source_says_why(tmp_path: Path) -> None:
    end = End()
    async with running(end):
        origin = Origin(tmp_path, [end.upstream])
        async with running(origin):
            await until(lambda: end.refused("unknown_key") >= 1)
            await until(lambda: "does not accept our key" in origin.publisher.state.trouble)
            assert end.refusals[0].key == origin.keys.public
            end.ring.put(origin.peer)
            origin.publish(5)
            await until(lambda: end.ledger.has(5), what="the records once enrolled")


async def test_a_key_revoked_on_a_live_link_is_refused_from_that_frame_on(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end), bystander(end, tmp_path), attacking(end, keys) as attacker:
        assert (await attacker.say_hello())["type"] == "welcome"
        await attacker.open_data()
        await attacker.send_frame(1, records([1]))
        await until(lambda: end.ledger.has(1))
        end.ring.put(revoked(peer_of(keys)))
        await attacker.send_frame(2, records([2]))
        await until(lambda: end.refused("revoked_key") >= 1)
        await attacker.control.send(encode(Goodbye(session=SESSION)))
        while (answer := await attacker.answer())["type"] != "refusal":
            pass
        assert answer["reason"] == "revoked"
        assert not end.ledger.has(2, first=2)
        assert [link.name for link in end.collector.links()] == ["bystander"]


async def test_a_key_alive_twice_is_refused_to_the_second_and_the_first_goes_on(tmp_path: Path) -> None:
    keys = make_keys()
    # Whoever lives answers at once; the time is for a machine on which both are held up.
    timings = replace(SHORT, clone_seconds=30.0, welcome_seconds=40.0)
    end = End([peer_of(keys)], timings=timings)
    async with running(end):
        first = Origin(tmp_path / "first", [end.upstream], keys=keys, timings=timings)
        second = Origin(tmp_path / "second", [end.upstream], keys=keys, boot=43, timings=timings)
        async with running(first):
            await until(lambda: first.is_up)
            async with running(second):
                await until(lambda: second.counters.get("link.refused_as_cloned") >= 1)
                assert end.refused("cloned") >= 1
                first.publish(10)
                await until(lambda: end.ledger.has(10))
                assert first.counters.get("link.sessions") == 1
                assert not second.is_up


async def test_a_session_whose_holder_is_gone_is_replaced_at_once_by_the_same_key(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end):
        async with attacking(end, keys) as attacker:
            assert (await attacker.say_hello())["type"] == "welcome"
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        async with running(origin):
            await until(lambda: origin.is_up)
            assert origin.counters.get("link.sessions") == 1


async def test_a_frozen_holder_of_a_key_is_replaced_after_it_did_not_answer(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end), attacking(end, keys) as frozen:
        assert (await frozen.say_hello())["type"] == "welcome"
        await frozen.open_data()
        origin = Origin(tmp_path, [end.upstream], keys=keys)
        begin = time.monotonic()
        async with running(origin):
            await until(lambda: origin.is_up)
            assert time.monotonic() - begin >= end.timings.clone_seconds * 0.9
            await frozen.send_frame(1, records([99]))
            await until(lambda: end.refused("session") >= 1, what="the old session's frame refused")
            assert not end.ledger.received


@pytest.mark.trial("S-7")
async def test_an_agent_cannot_speak_for_another_source(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end), bystander(end, tmp_path) as victim, attacking(end, keys) as attacker:
        assert (await attacker.say_hello(source=OTHER))["reason"] == "source"
        assert (await attacker.say_hello(role="proxy", source=SOURCE))["reason"] == "role"
        assert (await attacker.say_hello())["type"] == "welcome"
        await attacker.open_data()
        await attacker.send_frame(1, records([1]) + records([500], source=OTHER) + records([2]))
        await until(lambda: end.ledger.has(2))
        assert end.refused("foreign_source") == 1
        assert not end.ledger.has(500, source=OTHER, first=500)
        end.collector.acknowledge("refused", {(OTHER.bytes, victim.boot): [(1, 9)]}, key=keys.public)
        while (await attacker.answer())["type"] != "refused":
            pass
        assert not victim.notes.acks["refused"]


async def test_malformed_messages_are_refused_and_counted(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    bad = [
        b"", b"\xc1", b"\xff" * 100, b"\x93\x01\x02\x03", msgpack.packb({"type": "hello"}), msgpack.packb({"type": 7}),
        msgpack.packb({"type": "goodbye", "session": 2**64 - 1, "more": 1}), b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff", b"\x81" * 2000, b"\x91" * 100_000, msgpack.packb({"type": "goodbye", "session": -1}),
        msgpack.packb({"type": "counters", "values": {"a": float("nan")}}), msgpack.packb([{}] * 99), b"x" * 1_500_000,
    ]  # fmt: skip
    async with running(end), bystander(end, tmp_path), attacking(end, keys) as attacker:
        for message in bad:
            await attacker.control.send(message)
        await attacker.control.send_multipart([encode(Goodbye(session=1)), b"second part"])
        await until(lambda: end.refused("malformed_message") == len(bad) + 1)
        assert (await attacker.say_hello())["type"] == "welcome"
        assert len(end.refusals) < len(bad), "what repeats is reported once"


async def test_malformed_frames_are_refused_and_counted(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    good = records([1])
    async with running(end), bystander(end, tmp_path), attacking(end, keys) as attacker:
        await attacker.say_hello()
        await attacker.open_data()
        await attacker.data.send_multipart([b"D"])
        await attacker.data.send_multipart([b"", good])
        await attacker.data.send_multipart([pack_envelope(SESSION, 1), good, good])
        await attacker.data.send_multipart([b"X" + pack_envelope(SESSION, 1)[1:], good])
        await attacker.data.send_multipart([pack_envelope(SESSION, 1), bytes(1_500_000)])
        await until(lambda: end.refused("malformed_frame") == 5)
        await attacker.send_frame(1, good, session=SESSION + 1)
        await until(lambda: end.refused("session") == 1)
        assert not end.ledger.has(1)
        await attacker.send_frame(1, good)
        await until(lambda: end.ledger.has(1))


async def test_damaged_records_are_left_out_and_the_rest_of_their_frame_is_kept(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    flipped = bytearray(records([2]))
    flipped[70] ^= 1
    lying = HEADER.pack(b"WK1", Kind.VALUES, 1 << 20, 0, 65_536, SOURCE.bytes, 42, 9, 1, 0, 0)
    async with running(end), bystander(end, tmp_path), attacking(end, keys) as attacker:
        await attacker.say_hello()
        await attacker.open_data()
        await attacker.send_frame(1, records([1]) + bytes(flipped) + records([3]))
        await attacker.send_frame(2, lying + records([4]))
        await attacker.send_frame(3, secrets.token_bytes(50_000))
        await attacker.send_frame(4, b"WK1" * 80_000)
        await attacker.send_frame(5, records([5])[:-1])
        await attacker.send_frame(6, records([6]))
        await until(lambda: end.ledger.has(6, first=6))
        assert list(end.ledger.received[SOURCE.bytes, 42]) == [(1, 1), (3, 4), (6, 6)]
        assert end.refused("damaged_record") >= 5


async def test_what_is_too_large_cuts_the_connection_of_its_sender_only(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    async with running(end), bystander(end, tmp_path), attacking(end, keys) as attacker:
        await attacker.say_hello()
        await attacker.open_data()
        await attacker.send_frame(1, bytes(50_000_000))
        assert await asyncio.wait_for(attacker.data.recv(), PATIENCE_SECONDS) == b"\x00"
        await attacker.control.send(bytes(50_000_000))


async def test_garbage_at_the_ports_harms_nobody(tmp_path: Path) -> None:
    keys = make_keys()
    end = End([peer_of(keys)])
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(15) + b"\x00" + bytes(31)
    texts = [
        b"GET / HTTP/1.0\r\n\r\n",
        secrets.token_bytes(5000),
        b"\xff" * 64,
        greeting + b"\x04\xc8\x05HELLO" + bytes(200),
    ]
    async with running(end), bystander(end, tmp_path):
        for port in (end.collector.control_port, end.collector.data_port):
            for text in texts:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(text)
                await writer.drain()
                writer.close()
        await until(lambda: end.refused("handshake") >= 2)
        origin = Origin(tmp_path / "honest", [end.upstream], keys=keys)
        origin.publish(5)
        async with running(origin):
            await until(lambda: end.ledger.has(5))
