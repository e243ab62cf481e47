"""A caller of the REST API over real HTTP, with a cookie jar; blocking."""

from __future__ import annotations

import json
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

TIMEOUT_SECONDS = 120.0  # the server itself gives what lies at a restore station 90 s


class Api:
    """Asks the server at `url` ("http://127.0.0.1:8642/")."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def sign_in(self, user: str, password: str) -> int:
        """Sign in; return the status."""
        return self.send("POST", "/session", {"user": user, "password": password})[0]

    def get(self, path: str, /, **query: Any) -> Any:
        """Return what is answered; fails on any status but 200."""
        status, answer = self.send("GET", f"{path}?{urlencode(query)}" if query else path)
        assert status == 200, f"GET {path}: {status} {answer}"
        return answer

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and answer. Raises URLError when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = Request(f"{self.url}/api/v1{path}", data=data, headers=headers, method=method)  # noqa: S310 - http
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except HTTPError as error:
            with error:
                text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else text.decode(errors="replace")
