"""The webhook medium: one POST of the notice as JSON; what is sent and how to check it stands in docs/webhooks.md."""

import hashlib
import hmac
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Any, Final, Self
from uuid import UUID

import aiohttp
from pydantic import AfterValidator, StrictBool, model_validator
from yarl import URL

from server.media.address import judge_address
from server.media.contract import Medium, MediumSettings, Message, SendFailed, SendRefused
from server.media.secret import SecretFile, read_secret

_MAX_URL_CHARACTERS: Final = 2000
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_IPV4: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
_MAX_ANSWER_BYTES: Final = 200
_MAX_RETRY_SECONDS: Final = 3600.0
# The receiver read the notice and refuses its form: the same bytes would be refused again. Everything else, 401, 403,
# 404 and redirects included, may be put right by a person while the notice waits.
_FINAL_STATUSES: Final = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 422})


def check_url(text: str) -> str:
    """Return `text` when it is a whole http or https URL. Raises ValueError saying what was expected."""
    if len(text) > _MAX_URL_CHARACTERS or not text.isprintable() or " " in text:
        raise ValueError(f"expected a URL of at most {_MAX_URL_CHARACTERS} characters without blanks")
    try:
        url = URL(text)
        is_whole = url.scheme in ("http", "https") and bool(url.host) and url.port != 0
    except ValueError as error:
        raise ValueError(f"expected a URL like https://chat.example.org/hooks/7 ({error})") from error
    if not is_whole:
        raise ValueError("expected a URL like https://chat.example.org/hooks/7")
    # Spellings like 127.1 or 0x7f000001, which some resolvers take for addresses; nobody writes them by accident.
    # An IPv6 address is none of them, though from Python 3.13 on one that carries an IPv4 address ends like them.
    host = url.host or ""
    last = host.rstrip(".").rpartition(".")[2]
    if ":" not in host and _NUMBER.fullmatch(last) and not _IPV4.fullmatch(host):
        raise ValueError("expected a host name, or an address written as usual")
    if url.user is not None or url.password is not None or url.fragment:
        raise ValueError("expected a URL without user, password and fragment")
    return text


class WebhookSettings(MediumSettings):
    """Where to POST. `url_file` instead of `url` where the URL itself is the secret, as with chat services."""

    url: Annotated[str, AfterValidator(check_url)] | None = None
    url_file: SecretFile | None = None
    secret_file: SecretFile | None = None
    allow_private: StrictBool = False

    @model_validator(mode="after")
    def _check_one_url(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("expected either `url` or `url_file`")
        return self


def write_body(payload: Mapping[str, Any]) -> bytes:
    """Return the payload as canonical JSON: keys sorted, no blanks; the same bytes at every attempt."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sign(secret: str, key: UUID, timestamp: int, body: bytes) -> str:
    """Return the value of `Watchkeep-Signature`: HMAC-SHA256 (RFC 2104) over "<timestamp>.<key>." and the body."""
    signed = f"{timestamp}.{key}.".encode() + body
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def judge_answer(status: int, retry_after: str | None, now: float) -> None:
    """Return when the receiver took the notice; raise SendFailed or SendRefused otherwise. `now` is Unix time."""
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise SendFailed(f"the receiver answered {status}, a redirect, which is never followed: put the final URL in")
    if status in _FINAL_STATUSES:
        raise SendRefused(f"the receiver refused the notice with status {status}")
    raise SendFailed(f"the receiver answered with status {status}", retry_seconds=_read_retry_after(retry_after, now))


def _read_retry_after(text: str | None, now: float) -> float | None:
    """Read RFC 9110's Retry-After, seconds or a date, within bounds; None when it says nothing we understand."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.isascii() and text.isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_SECONDS)


class _AddressDeniedError(OSError):
    pass


async def send_webhook(settings: WebhookSettings, message: Message, secrets: Path) -> str:
    """POST the notice once.

    Every connection attempt is judged by the address it goes to, after the name was resolved and for literal
    addresses alike, so that neither DNS rebinding nor an odd spelling gets around the rule. No redirect is followed,
    no proxy of the environment is used, no cookie kept, and at most the beginning of the answer is read.
    """
    url = settings.url or _read_url(secrets, settings.url_file or "")
    body = write_body(message.payload)
    headers = {"Content-Type": "application/json", "User-Agent": "Watchkeep", "Idempotency-Key": str(message.key)}
    if settings.secret_file is not None:
        secret = read_secret(secrets, settings.secret_file)
        headers["Watchkeep-Signature"] = sign(secret, message.key, int(time.time()), body)
    denied: list[str] = []

    def open_socket(found: Any) -> socket.socket:
        family, kind, protocol, _, address = found
        reason = judge_address(str(address[0]), allow_private=settings.allow_private)
        if reason is not None:
            denied.append(reason)
            raise _AddressDeniedError(reason)
        return socket.socket(family=family, type=kind, proto=protocol)

    connector = aiohttp.TCPConnector(socket_factory=open_socket, use_dns_cache=False, force_close=True)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
            ) as session,
            session.post(URL(url), data=body, headers=headers, allow_redirects=False) as answer,
        ):
            judge_answer(answer.status, answer.headers.get("Retry-After"), time.time())
            # Read a little, so that the receiver is not cut off in the middle of a usual answer; the rest is dropped.
            await answer.content.read(_MAX_ANSWER_BYTES)
            return f"status {answer.status}"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if denied:
            raise SendFailed(
                f"connecting is denied: {denied[0]}; `allow_private: true` in the webhook allows private addresses"
            ) from error
        raise SendFailed(f"the receiver cannot be reached: {_describe(error)}") from error


def _read_url(secrets: Path, name: str) -> str:
    text = read_secret(secrets, name).strip()
    try:
        return check_url(text)
    except ValueError:
        raise SendFailed(f"the file {secrets / name} does not hold a whole http or https URL") from None


def _describe(error: Exception) -> str:
    """Describe a fault in one line without the URL, which may be a secret."""
    if isinstance(error, aiohttp.ClientConnectorError):
        fault = error.os_error
        reason = fault.strerror or str(fault)
        if fault.errno and "Connect call failed" in reason:  # asyncio's words, an address in brackets, not the system's
            reason = os.strerror(fault.errno)
        return f"connecting failed ({reason})"
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL is not valid"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__} {error}".strip()[:200]


MEDIUM: Final = Medium(name="webhook", settings=WebhookSettings, send=send_webhook)
