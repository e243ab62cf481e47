"""In which order an agent shall try the proxies of its group; pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from core.security.keys import key_text

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELD: Final = "upstreams"
MOST_KEYS: Final = 16


def order_proxies(source: bytes, home: bytes, proxies: Iterable[bytes]) -> list[bytes]:
    """Return the keys of `proxies`: the home first, the others by rendezvous hashing.

    So the sources of a proxy that fails go on at all the others alike, each by itself and at once.
    """
    return sorted(proxies, key=lambda key: (key == home, hashlib.sha256(key + source).digest()), reverse=True)


def write_order(number: int, keys: Iterable[bytes]) -> dict[str, Any]:
    """Return what a document says of upstreams. No keys: the agent's own order holds."""
    return {"number": number, "keys": [key_text(key) for key in keys][:MOST_KEYS]}
