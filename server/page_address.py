"""How people reach the page: what links in notices begin with."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - only compared with
_MOST_LETTERS: Final = 200


def check_page_url(text: str) -> str | None:
    """Return what is wrong with the page's address; left empty it is made of the server's own."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in {"http", "https"} and parts.hostname is not None and parts.port != 0
        is_bare = parts.username is None and not parts.query and not parts.fragment
    except ValueError:
        is_whole = is_bare = False
    if (
        is_whole
        and is_bare
        and text.isascii()
        and text.isprintable()
        and " " not in text
        and len(text) <= _MOST_LETTERS
    ):
        return None
    return f"expected http:// or https://, a machine and perhaps a port and a path, in at most {_MOST_LETTERS} letters"


def page_url(told: str, *, listen: str, port: int, is_https: bool) -> str | None:
    """Return what the page's address begins with, a slash at its end: as `told`, else of where the page is served.

    None when its port is not known beforehand.
    """
    if told:
        return told.rstrip("/") + "/"
    if port == 0:
        return None
    host = socket.gethostname() if listen in _EVERYWHERE else listen
    return f"{'https' if is_https else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"
