"""A proxy before a real Swift that misbehaves as told: answers an error, loses a PUT it says it has, is slow, dumb."""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.swift import Swift

Fault = Literal["none", "500", "413", "lost put", "cut put", "slow put", "silent put"]
_LARGE_BYTES = 256 << 10
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class FaultySwift:
    """`fault` holds for PUTs whose path has `path_part`; `struck` counts them. A slow PUT waits `seconds`, once.

    `spared`: how many of them are let through first; `most`: how many are struck then, None for all. A silent PUT is
    taken and answered when the proxy ends.
    `rates`: how fast the larger PUTs came, in bytes a second. `refuses_deleting`: as rights would that lack it; `kept`
    counts these.
    """

    def __init__(self, swift: Swift) -> None:
        self.fault: Fault = "none"
        self.path_part = ""
        self.spared = 0
        self.most: int | None = None
        self.struck = 0
        self.seconds = 0.0
        self.rates: list[float] = []
        self.refuses_deleting = False
        self.kept = 0
        self.real_port = swift.port
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, name="faulty swift")

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def auth_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/auth/v1.0"

    def fault_of(self, method: str, path: str) -> Fault:
        """Return what becomes of a request, and count it."""
        with self._lock:
            if self.fault == "none" or method != "PUT" or self.path_part not in path:
                return "none"
            if self.spared:
                self.spared -= 1
                return "none"
            if self.most is not None and self.struck >= self.most:
                return "none"
            self.struck += 1
            return self.fault

    def wait_for_end(self) -> None:
        """Wait until the proxy ends, ten minutes at the most."""
        self._end.wait(600)

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Pass a request on to the real one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.real_port, timeout=240)
        plain = {name: value for name, value in headers.items() if name.lower() not in {*_HOP, "expect"}}
        plain["Content-Length"] = str(len(body))
        connection.request(method, path, body=body or None, headers=plain)
        answer = connection.getresponse()
        found = answer.status, answer.getheaders(), answer.read()
        connection.close()
        return found

    @contextmanager
    def running(self) -> Iterator[FaultySwift]:
        self._thread.start()
        try:
            yield self
        finally:
            self._end.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: ClassVar[FaultySwift]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Say nothing."""

    def _forward(self) -> None:
        began, proxy = time.monotonic(), self.proxy
        body = self._body()
        if self.command == "PUT" and len(body) >= _LARGE_BYTES:
            proxy.rates.append(len(body) / (time.monotonic() - began))
        fault = proxy.fault_of(self.command, self.path)
        if self.command == "DELETE" and proxy.refuses_deleting:
            proxy.kept += 1
            self._answer(403, [], b"<Error><Code>AccessDenied</Code></Error>")
        elif fault in ("500", "413"):
            self._answer(int(fault), [], b"broken on purpose")
        elif fault == "silent put":
            proxy.wait_for_end()
        elif fault in ("lost put", "cut put"):
            if fault == "cut put":
                proxy.ask(self.command, self.path, dict(self.headers), body[:-1])
            self._answer(201, [("Etag", hashlib.md5(body).hexdigest())], b"")  # noqa: S324 - Swift's own
        else:
            if fault == "slow put" and proxy.struck == 1:
                time.sleep(proxy.seconds)
            self._answer(*proxy.ask(self.command, self.path, dict(self.headers), body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815 - http.server's

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        length = str(len(content))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            if name.lower() not in _HOP:
                self.send_header(name, value.replace(f":{self.proxy.real_port}/", f":{self.proxy.port}/"))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
