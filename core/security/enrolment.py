"""The one exchange by which a machine nobody knows yet is let in: its texts, and what proves that nobody changed them.

A token is an id and a secret. The secret never travels: request and answer each carry an HMAC-SHA256 (RFC 2104) made
with it, over the very text that is sent, so no canonical form is needed. The answer's covers the request too: it can
be the answer to no other one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from core.security.keys import KeyFault, key_text, read_public

PATH: Final = "/enrolment"
MAX_REQUEST_BYTES: Final = 4096
MAX_ANSWER_BYTES: Final = 65_536
MAX_UPSTREAMS: Final = 16
MAX_CLOCK_SECONDS: Final = 60.0
"""How far a newcomer's clock may be off: what it samples would bear instants that mislead everybody."""

_SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(r"wk-([a-z2-7]{13})-([a-z2-7]{52})")
_MAC: Final = re.compile(r"[0-9a-f]{64}")
_NONCE: Final = re.compile(r"[0-9a-f]{32}")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_ENDPOINT: Final = re.compile(r"tcp://(?:\*|[A-Za-z0-9.:\[\]_-]{1,230}):[0-9]{1,5}")
_REQUEST: Final = b"watchkeep enrolment request 1\n"
_ANSWER: Final = b"watchkeep enrolment answer 1\n"


class EnrolmentFault(Exception):
    """A token, a request or an answer cannot be used; the text says why, never the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What an administrator hands to a newcomer: a public id, and the secret both ends share."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The form to be handed over: letters and digits that survive a terminal, a shell and a telephone."""
        return f"wk-{self.id}-{_letters(self.secret)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Who asks: the name its machine proposes, the public half of a key made there, the source it will number by."""

    name: str
    key: bytes
    source: UUID
    software: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A collector: its endpoint, where host `*` means the host the newcomer asked at, and its public key."""

    endpoint: str
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the newcomer is told: the name it got, and its collectors, the preferred one first."""

    name: str
    source: UUID
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A text, and the token and proof it came with; None where neither is used (approval by an administrator)."""

    text: str
    token: str | None = None
    mac: str | None = None


def make_token() -> Token:
    """Return a fresh token of 256 secret bits."""
    return Token(id=_letters(os.urandom(8)), secret=os.urandom(_SECRET_BYTES))


def read_token(text: str) -> Token:
    """Read a token as it was handed over. Raises EnrolmentFault."""
    match = _TOKEN.fullmatch(text.strip())
    if match is None:
        raise EnrolmentFault(
            "this is no token: one begins with wk- and has 69 letters, digits and dashes; copy the whole of it"
        )
    padded = match[2].upper() + "=" * (-len(match[2]) % 8)
    try:
        return Token(id=match[1], secret=base64.b32decode(padded))
    except binascii.Error as error:
        raise EnrolmentFault("this token was damaged on its way: copy it again") from error


def write_request(newcomer: Newcomer) -> str:
    """Return the text a newcomer sends; two are never alike, so one that comes again is known to be the same."""
    return json.dumps(
        {
            "version": 1,
            "name": newcomer.name,
            "key": key_text(newcomer.key),
            "source": str(newcomer.source),
            "software": newcomer.software,
            "nonce": os.urandom(16).hex(),
        }
    )


def read_request(text: str) -> Newcomer:
    """Check a newcomer's text. Raises EnrolmentFault naming what does not fit."""
    found = _read_map(text, {"version", "name", "key", "source", "software", "nonce"})
    if not _NONCE.fullmatch(_text(found, "nonce")):
        raise EnrolmentFault("nonce: expected 32 hexadecimal digits")
    name, software = _text(found, "name"), _text(found, "software")
    if not is_host_name(name):
        raise EnrolmentFault("name: expected 1 to 128 letters, digits, dots, dashes or underscores, no blanks")
    if len(software) > 255 or not software.isprintable():
        raise EnrolmentFault("software: expected at most 255 printable letters")
    return Newcomer(name=name, key=_key(found, "key"), source=_uuid(found, "source"), software=software)


def write_admission(admission: Admission) -> str:
    """Return the text a newcomer is answered with."""
    ways = [{"endpoint": way.endpoint, "key": key_text(way.key)} for way in admission.ways]
    return json.dumps({"version": 1, "name": admission.name, "source": str(admission.source), "upstreams": ways})


def read_admission(text: str) -> Admission:
    """Check an answer's text. Raises EnrolmentFault naming what does not fit."""
    found = _read_map(text, {"version", "name", "source", "upstreams"})
    rows = found["upstreams"]
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_UPSTREAMS:
        raise EnrolmentFault(f"upstreams: expected a list of 1 to {MAX_UPSTREAMS}")
    ways = []
    for row in rows:
        if not isinstance(row, dict) or not _ENDPOINT.fullmatch(_text(row, "endpoint")):
            raise EnrolmentFault("upstreams: expected endpoints like tcp://HOST:PORT")
        ways.append(Way(endpoint=_text(row, "endpoint"), key=_key(row, "key")))
    name = _text(found, "name")
    if not is_host_name(name):
        raise EnrolmentFault("name: expected a host's name")
    return Admission(name=name, source=_uuid(found, "source"), ways=tuple(ways))


def sign_request(token: Token, text: str) -> Signed:
    """Prove by the token that this very text comes from who holds it."""
    return Signed(text=text, token=token.id, mac=_mac(token.secret, _REQUEST + token.id.encode() + b"\n", text))


def is_request_of(token: Token, signed: Signed) -> bool:
    """Tell whether a request was made with the token's secret and not changed since; in constant time."""
    return _is_same(sign_request(token, signed.text).mac, signed.mac)


def sign_answer(token: Token, request: str, text: str) -> Signed:
    """Prove by the token that this text answers that request."""
    return Signed(text=text, token=token.id, mac=_mac(token.secret, _ANSWER + request_digest(request), text))


def is_answer_to(token: Token, request: str, signed: Signed) -> bool:
    """Tell whether an answer was made with the token's secret, for this request, and not changed since."""
    return _is_same(sign_answer(token, request, signed.text).mac, signed.mac)


def request_digest(request: str) -> bytes:
    """Return 32 bytes by which a request is known again."""
    return hashlib.sha256(_REQUEST + request.encode()).digest()


def pack(signed: Signed) -> bytes:
    """Return the body of an HTTP request or answer."""
    return json.dumps({"text": signed.text, "token": signed.token, "mac": signed.mac}).encode()


def unpack(body: bytes) -> Signed:
    """Read the body of an HTTP request or answer. Raises EnrolmentFault."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EnrolmentFault("expected JSON") from error
    if not isinstance(found, dict) or found.keys() != {"text", "token", "mac"}:
        raise EnrolmentFault("expected a map of text, token and mac")
    text, token, mac = found["text"], found["token"], found["mac"]
    if not isinstance(text, str) or not text.isascii() or (token is None) != (mac is None):
        raise EnrolmentFault("expected a text of ASCII letters, and token and mac together or neither")
    if token is not None and not (isinstance(token, str) and re.fullmatch(r"[a-z2-7]{13}", token)):
        raise EnrolmentFault("token: expected a token's id")
    if mac is not None and not (isinstance(mac, str) and _MAC.fullmatch(mac)):
        raise EnrolmentFault("mac: expected 64 hexadecimal digits")
    return Signed(text=text, token=token, mac=mac)


def fingerprint(*keys: bytes) -> str:
    """Return what two people compare by eye: 160 bits of keys in their order, as eight groups of four letters."""
    letters = _letters(hashlib.sha256(b"watchkeep keys 1\n" + b"".join(keys)).digest()[:20])
    return "-".join(letters[place : place + 4] for place in range(0, len(letters), 4))


def is_host_name(name: str) -> bool:
    """Tell whether a host may be called so."""
    return _HOST_NAME.fullmatch(name) is not None


def _mac(secret: bytes, purpose: bytes, text: str) -> str:
    return hmac.digest(secret, purpose + text.encode(), "sha256").hex()


def _is_same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and hmac.compare_digest(one, other)


def _letters(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()


def _read_map(text: str, names: set[str]) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnrolmentFault("expected JSON") from error
    if not isinstance(found, dict) or found.keys() != names or found["version"] != 1:
        raise EnrolmentFault(
            f"expected a map of {', '.join(sorted(names))}, of version 1: use the same version of both"
        )
    return found


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise EnrolmentFault(f"{name}: expected text")
    return value


def _key(found: dict[str, Any], name: str) -> bytes:
    try:
        return read_public(_text(found, name))
    except KeyFault as error:
        raise EnrolmentFault(f"{name}: {error}") from error


def _uuid(found: dict[str, Any], name: str) -> UUID:
    text = _text(found, name)
    try:
        value = UUID(text)
    except ValueError as error:
        raise EnrolmentFault(f"{name}: expected a UUID") from error
    if str(value) != text:
        raise EnrolmentFault(f"{name}: expected a UUID in its usual form")
    return value
