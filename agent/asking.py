"""Asks the enrolment port over HTTP, with bounds on time and size, and says what is wrong when it does not answer."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from core.security.enrolment import MAX_ANSWER_BYTES, PATH

DEFAULT_PORT: Final = 7704
_TIMEOUT_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_DECIDED: Final = (200, 202)
_PASSING: Final = (429, 503)


class Trouble(Exception):
    """No answer, or a refusal. `is_passing`: the same request may succeed after `wait_seconds`."""

    def __init__(self, message: str, remedy: str, *, is_passing: bool, wait_seconds: float = _PAUSE_SECONDS) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.is_passing = is_passing
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the enrolment port is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def read_address(url: str) -> Address:
    """Read http://HOST[:PORT]. Raises ValueError saying what was expected."""
    parts = urlsplit(url)
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"expected http://HOST:PORT, found {url!r}")
    return Address(host=parts.hostname, port=port)


def their_clock_seconds(address: Address) -> float:
    """Return the server's clock in seconds since 1970. Raises Trouble."""
    _, body = _speak(address, "GET", None)
    try:
        return int(json.loads(body)["clock_us"]) / 1_000_000
    except (ValueError, KeyError, TypeError) as error:
        raise _stranger(address) from error


def ask(address: Address, request: bytes) -> tuple[int, bytes]:
    """Send a request; return 200 and the answer, or 202 while it is not decided. Raises Trouble."""
    return _speak(address, "POST", request)


def _speak(address: Address, method: str, body: bytes | None) -> tuple[int, bytes]:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, PATH, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        found = bytearray()
        while chunk := answer.read1(MAX_ANSWER_BYTES):
            found += chunk
            if len(found) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                raise _stranger(address)
    except OSError as error:
        raise Trouble(
            f"nobody answers at {address} ({error.strerror or error})",
            "check address, port and firewall, and that the server runs",
            is_passing=True,
        ) from error
    except http.client.HTTPException as error:
        raise _stranger(address) from error
    finally:
        connection.close()
    if answer.status not in _DECIDED:
        raise _refusal(address, answer, bytes(found))
    return answer.status, bytes(found)


def _refusal(address: Address, answer: http.client.HTTPResponse, body: bytes) -> Trouble:
    try:
        error = json.loads(body)["error"]
        message, remedy = _printable(error["message"]), _printable(error["remedy"])
    except (ValueError, KeyError, TypeError):
        return _stranger(address)
    wait = answer.headers.get("Retry-After", "")
    return Trouble(
        message,
        remedy,
        is_passing=answer.status in _PASSING,
        wait_seconds=min(float(wait), _LONGEST_PAUSE_SECONDS) if wait.isascii() and wait.isdigit() else _PAUSE_SECONDS,
    )


def _stranger(address: Address) -> Trouble:
    return Trouble(
        f"what answers at {address} is no enrolment port of Watchkeep",
        "compare the address with the one on the page",
        is_passing=False,
    )


def _printable(text: object) -> str:
    return "".join(letter for letter in str(text) if letter.isprintable())[:300]
