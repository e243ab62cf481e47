"""The webhook medium against a real HTTP server."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiohttp import web

from server.media.contract import Message, SendFailed, SendRefused
from server.media.webhook import WebhookSettings, send_webhook
from tests.integration.media.receiver import open_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.media.receiver import WebhookReceiver

MESSAGE = Message(key=uuid4(), payload={"problem": 7, "name": "Bußy"})


def settings(receiver: WebhookReceiver, **more: Any) -> WebhookSettings:
    return WebhookSettings.model_validate({"url": receiver.url(), "allow_private": True} | more)


async def test_a_notice_arrives_once_with_key_and_json(receiver: WebhookReceiver, tmp_path: Path) -> None:
    assert await send_webhook(settings(receiver), MESSAGE, tmp_path) == "status 204"
    [received] = receiver.received
    assert received.key == str(MESSAGE.key)
    assert received.headers["Content-Type"] == "application/json"
    assert json.loads(received.body) == MESSAGE.payload
    assert "Watchkeep-Signature" not in received.headers


async def test_the_signature_can_be_checked_with_the_secret_alone(receiver: WebhookReceiver, tmp_path: Path) -> None:
    (tmp_path / "on-call.secret").write_text("tell nobody\n")
    await send_webhook(settings(receiver, secret_file="on-call.secret"), MESSAGE, tmp_path)
    [received] = receiver.received
    time_part, signature = received.headers["Watchkeep-Signature"].split(",")
    signed = f"{time_part.removeprefix('t=')}.{received.key}.".encode() + received.body
    expected = hmac.new(b"tell nobody", signed, hashlib.sha256).hexdigest()
    assert signature == f"v1={expected}"


async def test_the_url_may_come_from_a_secret_file(receiver: WebhookReceiver, tmp_path: Path) -> None:
    (tmp_path / "chat.url").write_text(receiver.url("/secret?token=1") + "\n")
    await send_webhook(WebhookSettings(url_file="chat.url", allow_private=True), MESSAGE, tmp_path)
    assert receiver.received[0].path == "/secret?token=1"
    (tmp_path / "chat.url").write_text("tell nobody\n")
    with pytest.raises(SendFailed, match=r"chat\.url") as raised:
        await send_webhook(WebhookSettings(url_file="chat.url"), MESSAGE, tmp_path)
    assert "tell nobody" not in str(raised.value)


@pytest.mark.trial("S-9")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_private_targets_are_denied_however_they_are_spelt(
    receiver: WebhookReceiver, tmp_path: Path, host: str
) -> None:
    denied = WebhookSettings(url=receiver.url(host=host))
    with pytest.raises(SendFailed, match="loopback") as raised:
        await send_webhook(denied, MESSAGE, tmp_path)
    assert "allow_private" in str(raised.value)
    assert receiver.received == []


@pytest.mark.trial("S-9")
async def test_metadata_addresses_are_denied_even_where_private_ones_are_allowed(tmp_path: Path) -> None:
    for host in ("169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"):
        with pytest.raises(SendFailed, match="metadata"):
            await send_webhook(WebhookSettings(url=f"http://{host}/", allow_private=True), MESSAGE, tmp_path)


@pytest.mark.trial("S-9")
async def test_a_name_that_resolves_anew_to_a_private_address_is_denied(
    receiver: WebhookReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: whoever asked before got a public address; what counts is where the connection goes."""
    loop = asyncio.get_running_loop()
    asked = 0

    async def rebind(*_: Any, **__: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))]

    monkeypatch.setattr(loop, "getaddrinfo", rebind)
    target = WebhookSettings(url=f"http://rebound.example:{receiver.port}/")
    with pytest.raises(SendFailed, match="loopback"):
        await send_webhook(target, MESSAGE, tmp_path)
    assert asked == 1, "resolved once, and connected to nothing else"
    assert receiver.received == []


@pytest.mark.trial("S-9")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(receiver: WebhookReceiver, tmp_path: Path, status: int) -> None:
    async with open_receiver() as elsewhere:
        receiver.answers = [web.Response(status=status, headers={"Location": elsewhere.url()})]
        with pytest.raises(SendFailed, match="redirect"):
            await send_webhook(settings(receiver), MESSAGE, tmp_path)
        assert elsewhere.received == []


async def test_environment_proxies_are_not_used(
    receiver: WebhookReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        await send_webhook(settings(receiver), MESSAGE, tmp_path)
        assert proxy.received == []
        assert len(receiver.received) == 1


async def test_answers_that_are_no_yes(receiver: WebhookReceiver, tmp_path: Path) -> None:
    receiver.answers = [web.Response(status=503, headers={"Retry-After": "7"}), web.Response(status=422), "break"]
    with pytest.raises(SendFailed) as raised:
        await send_webhook(settings(receiver), MESSAGE, tmp_path)
    assert raised.value.retry_seconds == 7
    with pytest.raises(SendRefused):
        await send_webhook(settings(receiver), MESSAGE, tmp_path)
    with pytest.raises(SendFailed, match="cannot be reached"):
        await send_webhook(settings(receiver), MESSAGE, tmp_path)


async def test_a_huge_answer_is_not_read(receiver: WebhookReceiver, tmp_path: Path) -> None:
    receiver.answers = [web.Response(body=b"x" * (8 << 20))]
    assert await send_webhook(settings(receiver), MESSAGE, tmp_path) == "status 200"


async def test_what_cannot_be_reached_is_named_without_the_url(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/token"
        with pytest.raises(SendFailed, match="connecting failed") as raised:
            await send_webhook(WebhookSettings(url=url, allow_private=True), MESSAGE, tmp_path)
    assert str(raised.value) == "the receiver cannot be reached: connecting failed (Connection refused)"
    with pytest.raises(SendFailed, match="cannot be reached"):
        await send_webhook(WebhookSettings(url="http://no-such-host.invalid/"), MESSAGE, tmp_path)
