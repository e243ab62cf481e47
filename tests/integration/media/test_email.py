"""Mails through a real relay: encrypted, signed in, threaded, escaped; what it answers decides."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from server.media.contract import Message, SendFailed, SendRefused
from server.media.email import EmailSettings, send_email
from tests.integration.media.relay import open_relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.media.relay import Relay

PAYLOAD: dict[str, Any] = {
    "version": 1, "event": "opened", "problem": 17, "name": "Space is low on /var", "host": "db1",
    "template": "linux-host", "trigger": "Space is low on {parameter}", "parameter": "/var", "severity": "average",
    "value": 93.5, "opened_at": "2026-11-21T10:00:00.000Z", "resolved_at": None,
}  # fmt: skip


def settings(relay: Relay, **more: Any) -> EmailSettings:
    plain = {
        "host": "127.0.0.1", "port": relay.port, "from": "Watchkeep <watchkeep@example.org>",
        "to": ["anna@example.org"], "user": "watchkeep", "password_file": "smtp.password", "ca_file": "relay-ca.pem",
    }  # fmt: skip
    return EmailSettings.model_validate({name: value for name, value in (plain | more).items() if value is not None})


def message(number: int = 1, **more: Any) -> Message:
    return Message(key=UUID(int=number), payload=PAYLOAD | more)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    async with open_relay(tmp_path) as opened:
        yield opened


async def test_a_mail_says_what_to_do_and_names_the_problem_in_words(relay: Relay) -> None:
    told = message(trigger="Space is low on {parameter}", description="Look for big files.\n<b>Then</b> delete them.")
    await send_email(settings(relay), told, relay.folder)
    [mail] = relay.mails
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        written = body.get_content()
        text = html.unescape(written)
        for word in ("What to do", "Look for big files.", "<b>Then</b> delete them."):
            assert word in text, (kind, word)
        assert "{parameter}" not in text
        assert kind == "plain" or "<b>Then</b>" not in written


async def test_a_mail_leads_to_the_problems_page(relay: Relay) -> None:
    link = "https://watchkeep.example.org/a&b/#/problems/17"
    await send_email(settings(relay), message(link=link), relay.folder)
    [mail] = relay.mails
    plain, markup = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert markup is not None
    assert f"Link:       {link}" in plain.get_content()
    shown = html.escape(link)
    assert f'<a href="{shown}">{shown}</a>' in markup.get_content()


async def test_a_mail_goes_encrypted_and_signed_in_and_says_what_happened(relay: Relay) -> None:
    assert await send_email(settings(relay), message(), relay.folder) == "250 taken"
    [mail] = relay.mails
    assert relay.users == ["watchkeep"]
    assert mail["To"] == "anna@example.org"
    assert mail["Subject"] == "[average] db1: Space is low on /var"
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        text = html.unescape(body.get_content())
        for word in ("Space is low on /var", "db1", "average", "93.5", "2026-11-21T10:00:00.000Z"):
            assert word in text, (kind, word)


@pytest.mark.parametrize("security", ["tls", "none"])
async def test_implicit_tls_and_on_request_no_encryption_work_too(tmp_path: Path, security: str) -> None:
    async with open_relay(tmp_path, security) as relay:
        more = {"security": security} | ({"user": None, "password_file": None} if security == "none" else {})
        assert await send_email(settings(relay, **more), message(), tmp_path) == "250 taken"
        assert len(relay.mails) == 1


async def test_all_mails_of_a_problem_make_one_thread_and_an_attempt_again_is_the_same_mail(relay: Relay) -> None:
    told = settings(relay)
    for number, event in enumerate(["opened", "opened", "reminder", "acknowledged", "resolved"]):
        await send_email(told, message(1 if event == "opened" else number, event=event, by="anna"), relay.folder)
    first, again, *others = relay.mails
    assert first["Message-ID"] == again["Message-ID"]
    assert first["X-Watchkeep-Key"] == again["X-Watchkeep-Key"] == str(UUID(int=1))
    assert len({mail["Message-ID"] for mail in relay.mails}) == 4
    for mail in others:
        assert mail["References"] == mail["In-Reply-To"] == first["Message-ID"]
        assert mail["Subject"] == f"Re: {first['Subject']}"
    await send_email(told, message(9, problem=18), relay.folder)
    assert relay.mails[-1]["Message-ID"] != first["Message-ID"]


async def test_hostile_names_stay_text_in_html_and_make_no_header(relay: Relay) -> None:
    evil = "<script>alert(1)</script>\r\nBcc: victim@example.org\r\n\r\n<b>\u202e&amp;"
    await send_email(settings(relay), message(name=evil, host=evil, text=evil, by=evil, event="note"), relay.folder)
    [mail] = relay.mails
    assert mail["Bcc"] is None
    assert relay.recipients == [["anna@example.org"]]
    assert "script" in mail["Subject"]
    markup = mail.get_body(("html",))
    assert markup is not None
    assert "<script" not in markup.get_content()
    assert "&lt;script&gt;" in markup.get_content()
    assert "\u202e" not in markup.get_content()


async def test_4xx_may_pass_and_5xx_is_for_ever(relay: Relay) -> None:
    relay.answers = ["451 later", "554 never"]
    with pytest.raises(SendFailed, match="451 later"):
        await send_email(settings(relay), message(), relay.folder)
    with pytest.raises(SendRefused, match="554 never"):
        await send_email(settings(relay), message(), relay.folder)
    relay.refused = {"anna@example.org": "550 unknown", "ben@example.org": "450 full"}
    with pytest.raises(SendRefused, match="550"):
        await send_email(settings(relay), message(), relay.folder)
    both = settings(relay, to=["anna@example.org", "ben@example.org"])
    with pytest.raises(SendFailed, match="450"):
        await send_email(both, message(), relay.folder)
    del relay.refused["ben@example.org"]
    assert "anna@example.org is refused: 550" in await send_email(both, message(), relay.folder)
    assert relay.recipients[-1] == ["ben@example.org"]


async def test_what_a_person_can_put_right_is_tried_again(relay: Relay) -> None:
    (relay.folder / "smtp.password").write_text("wrong\n")
    with pytest.raises(SendFailed, match="535") as raised:
        await send_email(settings(relay), message(), relay.folder)
    assert "wrong\n" not in str(raised.value)
    with pytest.raises(SendFailed, match=r"certificate|CERTIFICATE"):
        await send_email(settings(relay, ca_file=None), message(), relay.folder)
    with pytest.raises(SendFailed, match="cannot be read"):
        await send_email(settings(relay, password_file="none"), message(), relay.folder)
    with pytest.raises(SendFailed, match="reached"):
        await send_email(settings(relay, port=1), message(), relay.folder)
    with pytest.raises(SendFailed, match="metadata"):
        await send_email(settings(relay, host="169.254.169.254"), message(), relay.folder)
    assert relay.mails == []


@pytest.mark.parametrize(
    "wrong",
    [{"to": []}, {"to": ["anna"]}, {"to": ["a@b\r\nBcc: c@d"]}, {"from": "x\r\ny@z"}, {"security": "none"},
     {"user": None}, {"password_file": "../key"}, {"host": "a b"}, {"port": 0}],
)  # fmt: skip
async def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    plain = {"host": "a.example", "from": "w@example.org", "to": ["anna@example.org"], "user": "w",
             "password_file": "smtp.password"}  # fmt: skip
    EmailSettings.model_validate(plain)
    with pytest.raises(ValidationError):
        EmailSettings.model_validate({name: value for name, value in (plain | wrong).items() if value is not None})
