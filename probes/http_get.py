"""Whether a web address answers as it should: status, time, size, and what the page says (RFC 9110, RFC 9112)."""

import io
import re
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from core.config.reader import setting
from core.model.structured import canonical
from probes.declaration import Item, Reading, Visit, probe
from probes.encryption import explain, wrap
from probes.patterns import check_pattern, is_found
from probes.reaching import (
    DEFAULT_TIMEOUT,
    LONGEST_SECONDS,
    Deadline,
    Unreachable,
    check_timeout,
    connect,
    state_reading,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

MOST_BODY_BYTES: Final = 1 << 20
_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_PORTS: Final = {"http": 80, "https": 443}
_UNTOUCHED: Final = "%/:=&?~#+!$,;'@()*[]"


def check_url(url: str) -> str | None:
    """Return what is wrong with a web address."""
    if url.isprintable() and " " not in url:
        try:
            parts = urlsplit(url)
            if parts.scheme in _PORTS and parts.hostname and parts.port != 0 and parts.username is None:
                return None
        except ValueError:
            pass  # a port or an address that is none
    return "expected http:// or https://, a machine and perhaps a port and a path, without a password"


def _check_headers(headers: tuple[str, ...]) -> str | None:
    fits = all(re.fullmatch(r"[A-Za-z0-9-]+: [ -~]*", header) for header in headers)
    return None if fits else 'expected headers like "Accept: text/html"'


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What to get and what to expect."""

    url: str = field(metadata=setting("web address; one of a private network is as good as any", check=check_url))
    name: str | None = field(default=None, metadata=setting("name of the site in its items; left out: the address"))
    status: tuple[int, ...] = field(default=(), metadata=setting("statuses that are right; left out: 200 to 399"))
    body: str | None = field(
        default=None,
        metadata=setting("regular expression to be found in the first MiB of the body", check=check_pattern),
    )
    document: bool = field(
        default=False, metadata=setting("whether the body is a JSON document, of 64 KiB at most, to be kept")
    )
    headers: tuple[str, ...] = field(
        default=(),
        metadata=setting("headers to send, but not to another machine after a redirect", check=_check_headers),
    )
    follow: bool = field(default=True, metadata=setting("whether redirects are followed, five at most"))
    verify: bool = field(default=True, metadata=setting("whether the certificate has to be trusted"))
    ca_file: str | None = field(
        default=None, metadata=setting("file of certificates to trust; left out: those of the system")
    )
    timeout: timedelta = field(
        default=DEFAULT_TIMEOUT, metadata=setting("time for everything together", check=check_timeout)
    )


_ITEMS = (
    Item(key="http.ok", unit="", description="1 when it answered as it should, else 0", parameter="site"),
    Item(key="http.status", unit="", description="Status of the answer", parameter="site"),
    Item(
        key="http.seconds", unit="s", description="Time until the answer was read, redirects included", parameter="site"
    ),
    Item(key="http.size", unit="B", description="Size of the answer's body, 1 MiB at most", parameter="site"),
    Item(key="http.matched", unit="", description="1 when the body says what it should, else 0", parameter="site"),
    Item(
        key="http.document", unit="", description="The JSON document the body is", parameter="site", type="structured"
    ),
    Item(key="http.state", unit="", description="ok, or what is wrong", parameter="site", type="text"),
)


class Answer(NamedTuple):
    """What came from one address; `location` is where it sends the reader."""

    status: int
    body: bytes
    location: str


@probe("http.get", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=LONGEST_SECONDS + 5)
def get(visit: Visit, parameters: Parameters) -> "Iterator[Reading]":
    """Get the page once. That it does not answer is a value, not a failure of the probe."""
    name, deadline = parameters.name or parameters.url, Deadline(parameters.timeout)
    try:
        answer = _follow(visit, parameters, deadline)
    except Unreachable as silence:
        yield Reading("http.ok", 0.0, name)
        yield from state_reading(visit, "http.state", name, str(silence))
        return
    yield Reading("http.status", float(answer.status), name)
    yield Reading("http.seconds", deadline.spent_seconds, name)
    yield Reading("http.size", float(len(answer.body)), name)
    problem = ""
    if answer.status not in parameters.status if parameters.status else not 200 <= answer.status < 400:
        problem = f"status {answer.status}"
    if parameters.body is not None:
        is_there = is_found(parameters.body, answer.body.decode(errors="replace"))
        yield Reading("http.matched", float(is_there), name)
        problem = problem or ("" if is_there else "the body does not say what it should")
    if parameters.document and not problem:
        try:
            yield Reading("http.document", canonical(answer.body.decode()), name)
        except ValueError as error:  # no document, or no UTF-8
            problem = str(error)[:200]
    yield Reading("http.ok", float(not problem), name)
    yield from state_reading(visit, "http.state", name, problem or "ok")


def _follow(visit: Visit, parameters: Parameters, deadline: Deadline) -> Answer:
    url = first = urlsplit(parameters.url)
    for _ in range(_MOST_REDIRECTS + 1):
        is_same_machine = (url.scheme, url.netloc) == (first.scheme, first.netloc)
        answer = _get(visit, url, parameters, deadline, parameters.headers if is_same_machine else ())
        if not parameters.follow or answer.status not in _REDIRECTS or not answer.location:
            return answer
        target = urljoin(url.geturl(), answer.location)
        if check_url(target) is not None:
            raise Unreachable(f"it sends the reader to {target[:100]!r}, which is no web address")
        url = urlsplit(target)
    raise Unreachable(f"it sends the reader on more than {_MOST_REDIRECTS} times")


def _get(
    visit: Visit, url: SplitResult, parameters: Parameters, deadline: Deadline, headers: tuple[str, ...]
) -> Answer:
    host = url.hostname or ""
    connection = connect(visit, host, url.port or _PORTS[url.scheme], deadline)
    if url.scheme == "https":
        connection = wrap(connection, host, deadline, is_verified=parameters.verify, ca_file=parameters.ca_file)
    with closing(connection):
        try:
            connection.settimeout(deadline.left_seconds())
            connection.sendall(_request(url, headers))
            with closing(HTTPResponse(_Timed(connection, deadline))) as response:  # type: ignore[arg-type]  # makefile() is all it uses of a socket
                response.begin()
                body = response.read(MOST_BODY_BYTES)
                if response.length and len(body) < MOST_BODY_BYTES:
                    raise Unreachable("the answer ended before its body did")
                return Answer(response.status, body, response.getheader("Location", ""))
        except TimeoutError:
            raise deadline.passed() from None
        except (OSError, HTTPException, ValueError) as error:
            raise Unreachable(f"no answer of HTTP: {explain(error)}") from error


def _request(url: SplitResult, headers: tuple[str, ...]) -> bytes:
    target = quote(url.path or "/", safe=_UNTOUCHED) + (f"?{quote(url.query, safe=_UNTOUCHED)}" if url.query else "")
    machine = url.netloc if url.netloc.isascii() else url.netloc.encode("idna").decode("ascii")
    given = {header.partition(":")[0].lower() for header in headers}
    usual = ("User-Agent: Watchkeep", "Accept: */*")
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {machine}",
        *(line for line in usual if line.partition(":")[0].lower() not in given),
        *headers,
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class _Timed(io.RawIOBase):
    """Reads from a connection until a deadline, however slowly the other side drips."""

    def __init__(self, connection: "socket.socket", deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Be what http.client takes for a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, at least a byte, unless the other side has ended. Raises Unreachable."""
        self._connection.settimeout(self._deadline.left_seconds())
        return self._connection.recv_into(buffer)
