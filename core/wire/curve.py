"""Makes CURVE key pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

from core.security.keys import KeyFault, KeyPair, key_text, load, read_public, save

if TYPE_CHECKING:
    from pathlib import Path


def make_keys() -> KeyPair:
    """Return a fresh key pair from libsodium's random numbers."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public=_bytes(public), secret=_bytes(secret))


def load_or_create(path: Path) -> KeyPair:
    """Return the key pair of `path`; makes one (mode 0600) when there is no such file.

    Raises KeyFault when the file is there and cannot be used, or its public key is not that of its secret.
    """
    if not path.exists():
        save(path, make_keys())
    pair = load(path)
    if _bytes(zmq.curve_public(_letters(pair.secret))) != pair.public:
        raise KeyFault(f"the key file {path} is damaged: its public key does not belong to its secret; restore it")
    return pair


def _bytes(letters: bytes) -> bytes:
    return read_public(letters.decode("ascii"))


def _letters(key: bytes) -> bytes:
    return key_text(key).encode("ascii")
