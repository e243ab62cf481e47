"""The e-mail medium: one mail a notice, handed to the operator's own relay; docs/escalation.md describes it."""

import asyncio
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import formataddr, parseaddr
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import aiosmtplib
from pydantic import AfterValidator, Field, model_validator

from core.runtime.cancellation import honour_cancellation
from core.runtime.logging import Log
from server.media.address import judge_address
from server.media.contract import Medium, MediumSettings, Message, SendFailed, SendRefused
from server.media.email_message import write_mail
from server.media.secret import SecretFile, read_secret

log = Log("email")

ATTEMPT_SECONDS: Final = 25.0
"""Relays that look into mails take their time, and a mail given up too early would come twice."""
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,252}[A-Za-z0-9.])?")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_DEFAULT_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_MAX_ANSWER: Final = 200


def _check_host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("expected the relay's name or address, such as smtp.example.org")
    return text


def _check_address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("expected an address like anna@example.org")
    return text


def _check_sender(text: str) -> str:
    name, address = parseaddr(text)
    if not text.isprintable() or not _ADDRESS.fullmatch(address) or len(name) > 100:
        raise ValueError("expected a sender like watchkeep@example.org or Watchkeep <watchkeep@example.org>")
    return text


class EmailSettings(MediumSettings):
    """Which relay takes the mails, how it is spoken to, and whom they go to. Private addresses are allowed."""

    host: Annotated[str, AfterValidator(_check_host)]
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    password_file: SecretFile | None = None
    ca_file: SecretFile | None = None
    sender: Annotated[str, AfterValidator(_check_sender)] = Field(alias="from")
    to: Annotated[tuple[Annotated[str, AfterValidator(_check_address)], ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("expected `user` and `password_file` together")
        if self.user is not None and self.security == "none":
            raise ValueError("expected `security: starttls` or `tls`: a password never goes unencrypted")
        return self


async def send_email(settings: EmailSettings, message: Message, secrets: Path) -> str:
    """Hand the mail to the relay once.

    Raises SendRefused when the relay refuses sender, every recipient or content for ever (5xx); SendFailed for
    everything that a later attempt, a corrected setting or a working relay may change. When it takes some recipients
    and refuses others, the mail is told to those it takes and the answer names the others.
    """
    name, address = parseaddr(settings.sender)
    domain = address.rpartition("@")[2]
    sender = formataddr((name, address)) if name else address
    mail = write_mail(
        message.payload, message.key, sender=sender, domain=domain, to=settings.to, date=datetime.now(UTC)
    )
    password = None if settings.password_file is None else read_secret(secrets, settings.password_file)
    context = None if settings.security == "none" else _trust(settings, secrets)
    try:
        connected = await _connect(settings)
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            sock=connected,
            local_hostname=_own_name(),
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=context,
            timeout=ATTEMPT_SECONDS,
        )
        try:
            await client.connect()  # owns the socket from here on
            if settings.user is not None and password is not None:
                await client.login(settings.user, password)
            return await _hand_over(client, address, settings.to, mail.as_bytes())
        finally:
            await _leave(client)
            honour_cancellation()  # the library waits by wait_for, which may lose one
    except aiosmtplib.SMTPResponseException as error:
        raise _failed(f"the relay answered {error.code} {_shorten(error.message)}") from error
    except aiosmtplib.SMTPException as error:
        raise _failed(f"the relay cannot be used: {_shorten(str(error))}") from error
    except ssl.SSLError as error:
        raise _failed(f"no encrypted connection to the relay: {error.reason or 'TLS failed'}") from error
    except OSError as error:
        raise _failed(f"the relay cannot be reached: {error.strerror or error}") from error


async def _leave(client: aiosmtplib.SMTP) -> None:
    """End the connection at once: what the relay took is taken, and its farewell may be long in coming."""
    transport = client.transport
    client.close()
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
        await asyncio.sleep(0)


async def _hand_over(client: aiosmtplib.SMTP, sender: str, to: tuple[str, ...], mail: bytes) -> str:
    try:
        await client.mail(sender)
    except aiosmtplib.SMTPSenderRefused as error:
        raise _judge(error.code, f"the sender {sender}", error.message) from error
    refused: dict[str, aiosmtplib.SMTPRecipientRefused] = {}
    for address in to:
        try:
            await client.rcpt(address)
        except aiosmtplib.SMTPRecipientRefused as error:
            refused[address] = error
    if len(refused) == len(to):
        worst = min(refused.values(), key=lambda error: error.code)
        raise _judge(worst.code, f"the recipient {worst.recipient}", worst.message)
    try:
        answer = await client.data(mail)
    except aiosmtplib.SMTPDataError as error:
        raise _judge(error.code, "the mail", error.message) from error
    if refused:
        log.warning("a mail was taken, but not for everybody", relay=client.hostname, refused=sorted(refused))
    others = "".join(f"; {address} is refused: {error.code}" for address, error in refused.items())
    return f"{answer.code} {_shorten(answer.message)}{others}"


def _judge(code: int, what: str, answer: str) -> SendFailed | SendRefused:
    """Judge an answer to the mail itself (RFC 5321): 5xx is for ever, everything else may pass."""
    text = f"the relay refused {what}: {code} {_shorten(answer)}"
    return SendRefused(text) if 500 <= code < 600 else SendFailed(text)


def _failed(text: str) -> SendFailed:
    return SendFailed(text)


async def _connect(settings: EmailSettings) -> socket.socket:
    """Connect to the first of the relay's addresses that answers. A relay may be private; a cloud's metadata never."""
    loop = asyncio.get_running_loop()
    port = settings.port or _DEFAULT_PORTS[settings.security]
    failure: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(settings.host, port, type=socket.SOCK_STREAM):
        reason = judge_address(str(address[0]), allow_private=True)
        if reason is not None:
            failure = OSError(f"connecting is denied: {reason}")
            continue
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        try:
            await loop.sock_connect(opened, address)
        except OSError as error:
            opened.close()
            failure = error
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise failure or OSError(f"{settings.host} has no address")


def _trust(settings: EmailSettings, secrets: Path) -> ssl.SSLContext:
    if settings.ca_file is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=str(secrets / settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise SendFailed(
            f"the certificate file {secrets / settings.ca_file} cannot be used ({error.strerror or error}): "
            "put PEM certificates there"
        ) from error


def _own_name() -> str:
    name = socket.gethostname()
    return name if _HOST.fullmatch(name) and ":" not in name else "localhost"


def _shorten(text: str) -> str:
    """Return what a relay said in one line of bounded length."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_MAX_ANSWER]


MEDIUM: Final = Medium(name="email", settings=EmailSettings, send=send_email, attempt_seconds=ATTEMPT_SECONDS)
