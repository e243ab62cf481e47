"""The source a proxy's poller numbers its records under: made of the proxy's public key, so both ends know it."""

from __future__ import annotations

import hashlib
from uuid import UUID


def poller_source(public_key: bytes) -> UUID:
    """Return the poller's source id: the first 16 bytes of SHA-256("watchkeep poller" + key)."""
    return UUID(bytes=hashlib.sha256(b"watchkeep poller" + public_key).digest()[:16])


def polled_host(name: str) -> bytes:
    """Return the 16 bytes under which a polled host's document travels beside those of sources."""
    return hashlib.sha256(b"watchkeep polled host" + name.encode()).digest()[:16]
