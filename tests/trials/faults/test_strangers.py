"""S-6: wrong and revoked keys, garbage and oversized frames at the CURVE ports of the real daemons."""

from __future__ import annotations

import asyncio
import secrets
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest
import zmq

from core.security.keys import read_public
from core.wire.curve import make_keys
from core.wire.limits import MAX_CONTROL_BYTES
from tests.support.emitting import emitting
from tests.support.waiting import until
from tests.trials.faults.ground import PATIENCE_SECONDS, SERVER, command
from tests.trials.site import PROXIES
from tests.trials.stack import until_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from core.security.keys import KeyPair
    from tests.trials.faults.ground import Ground

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.trial("S-6"), pytest.mark.timeout(600)]
PROXY: Final = PROXIES[0]
GREETING: Final = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE".ljust(32, b"\0").ljust(64, b"\0")
"""How ZMTP 3.0 begins; https://rfc.zeromq.org/spec/23/."""
GARBAGE: Final = (
    b"GET / HTTP/1.1\r\nHost: watchkeep\r\n\r\n",
    secrets.token_bytes(65_536),
    b"\0" * 4096,
    GREETING + b"\x04\x29\x05READY" + secrets.token_bytes(36),
    GREETING + b"\x06" + (1 << 62).to_bytes(8, "big") + secrets.token_bytes(1024),
)


def throw(port: int, content: bytes) -> None:
    """Send bytes to a port, wait until it closes the connection or for two seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as thrown, suppress(OSError):
        thrown.settimeout(2)
        thrown.sendall(content)
        thrown.shutdown(socket.SHUT_WR)
        while thrown.recv(4096):
            pass


@contextmanager
def dealer(endpoint: str, server_key: bytes, keys: KeyPair | None) -> Iterator[zmq.Socket[bytes]]:
    """A ZeroMQ socket of a stranger's own making; without keys it does not even speak CURVE."""
    context = zmq.Context()
    made = context.socket(zmq.DEALER)
    made.linger = 0
    if keys is not None:
        made.curve_publickey, made.curve_secretkey, made.curve_serverkey = keys.public, keys.secret, server_key
    made.connect(endpoint)
    try:
        yield made
    finally:
        context.destroy(linger=0)


async def enrolled(ground: Ground, name: str, source: UUID, keys: KeyPair) -> None:
    folder = str(ground.installation)
    await command(
        "key", "allow", "--role=agent", f"--name={name}", f"--source={source}", "--template=trial", "--data", folder,
        "--", keys.public_text,
    )  # fmt: skip


@pytest.mark.parametrize("part", [SERVER, PROXY])
async def test_garbage_at_the_ports_is_refused_and_counted_and_nobody_else_notices(ground: Ground, part: str) -> None:
    since, before = len(ground.log(part)), await ground.counter(part, "link.refused.handshake")
    for use in ("control", "data"):
        for content in GARBAGE:
            await asyncio.to_thread(throw, ground.stack.site.ports[f"{part} {use}"], content)
    with dealer(ground.stack.site.endpoint(part), b"", None) as plain:
        plain.send(b"hello?", zmq.DONTWAIT)
        await ground.counted(part, "link.refused.handshake", before + 3)
    ports = [ground.stack.site.ports[f"{part} {use}"] for use in ("control", "data")]
    assert any(f"a connection to port {port} does not speak CURVE" in ground.log(part) for port in ports)
    if part == SERVER:
        assert await ground.refused("link.handshake") >= 1
    assert len(ground.log(part)[since:].splitlines()) < 20, "it does not fill the log"
    await ground.nothing_lost()
    assert ground.all_live()


async def test_an_unknown_key_is_named_with_the_way_in_and_works_once_let_in(ground: Ground, tmp_path: Path) -> None:
    keys, source = make_keys(), uuid4()
    site = ground.stack.site
    async with emitting(
        tmp_path, name="stranger", source=source, keys=keys, upstreams=[(site.endpoint(PROXY), site.public_key(PROXY))]
    ) as emitter:
        emitter.publish({"shop.orders": 1})
        await ground.says(PROXY, keys.public_text, 0)
        line = next(line for line in ground.log(PROXY).splitlines() if keys.public_text in line)
        assert "key nobody enrolled" in line
        assert "watchkeep key allow" in line
        await until(lambda: "enrol this part there" in emitter.publisher.state.trouble, what="the source's own word")
        await ground.counted(PROXY, "link.refused.unknown_key")

        await enrolled(ground, "stranger", source, keys)
        await until(lambda: emitter.unstored == 0, PATIENCE_SECONDS, "its storing once it is let in")
    assert ground.all_live()


async def test_a_wrong_key_of_the_proxy_is_told_by_the_source(ground: Ground, tmp_path: Path) -> None:
    name, source = ground.stack.site.sources[0]
    keys, wrong = make_keys(), make_keys().public_text
    async with emitting(
        tmp_path, name=name, source=source, keys=keys, upstreams=[(ground.stack.site.endpoint(PROXY), wrong)]
    ) as emitter:
        emitter.publish({"shop.orders": 1})
        await until(lambda: "compare the upstream's key" in emitter.publisher.state.trouble, what="the source's word")
        assert emitter.unstored > 0, "it keeps what it has"
    await ground.nothing_lost()


async def test_a_revoked_key_is_shut_out_on_its_live_link(ground: Ground, tmp_path: Path) -> None:
    keys, source = make_keys(), uuid4()
    site = ground.stack.site
    await enrolled(ground, "leaver", source, keys)
    async with emitting(
        tmp_path, name="leaver", source=source, keys=keys, upstreams=[(site.endpoint(PROXY), site.public_key(PROXY))]
    ) as emitter:
        emitter.publish({"shop.orders": 1})
        await until(lambda: emitter.unstored == 0, PATIENCE_SECONDS, "the storing of its value")
        since = len(ground.log(PROXY))
        await command("key", "revoke", "--data", str(ground.installation), "--", keys.public_text)

        async def is_shut_out() -> bool:
            emitter.publish({"shop.orders": 2})
            return "under the revoked key of leaver" in ground.log(PROXY)[since:]

        await until_true(is_shut_out, PATIENCE_SECONDS, "the proxy's refusal")
        assert keys.public_text in ground.log(PROXY)[since:]
        await ground.counted(PROXY, "link.refused.revoked_key")
        await until(lambda: emitter.publisher.state.trouble != "", what="the source's own word")
        assert emitter.unstored > 0
    await ground.nothing_lost()
    assert ground.all_live()


async def test_oversized_and_malformed_messages_of_a_known_key_hurt_nobody_else(ground: Ground) -> None:
    """The key is a proxy's, so that it gets in at the server's door."""
    keys = make_keys()
    folder = str(ground.installation)
    await command("key", "allow", "--role=proxy", "--name=rogue", "--data", folder, "--", keys.public_text)
    endpoint, server_key = ground.stack.site.endpoint(SERVER), ground.stack.site.public_key(SERVER)
    before = await ground.counter(SERVER, "link.refused.malformed_message")

    async def is_counted() -> bool:
        with dealer(endpoint, read_public(server_key), keys) as rogue:
            for content in (b"\xc1", secrets.token_bytes(1000), b"\0" * (MAX_CONTROL_BYTES + 1)):
                rogue.send(content, zmq.DONTWAIT)  # never in a thread: one left behind would meet a destroyed context
            rogue.rcvtimeo = 2000
            with suppress(zmq.Again):
                await asyncio.to_thread(rogue.recv)
        with dealer(endpoint, read_public(server_key), keys) as rogue:
            rogue.send(b"\0" * (8 << 20), zmq.DONTWAIT)  # so large that ZeroMQ itself cuts it off
        return await ground.counter(SERVER, "link.refused.malformed_message") >= before + 3

    await until_true(is_counted, PATIENCE_SECONDS, "the count of malformed messages")
    assert await ground.refused("link.malformed_message") >= 1
    assert "kind=malformed_message" in ground.log(SERVER)
    assert keys.public_text in ground.log(SERVER), "who sent them is named"
    await ground.nothing_lost()
    assert ground.all_live()
