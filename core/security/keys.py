"""CURVE key pairs: their text form and the file they lie in. Making one needs ZeroMQ: core/wire/curve."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_Z85: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_Z85_VALUES: Final = {letter: value for value, letter in enumerate(_Z85)}
_LINE: Final = re.compile(r'(public|secret) = "([^"]*)"')
KEY_BYTES: Final = 32
KEY_LETTERS: Final = 40


class KeyFault(Exception):
    """A key or its file cannot be used; the text names it and the remedy, never the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A CURVE (Curve25519) key pair, 32 bytes each. The secret never shows in a repr."""

    public: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.public) != KEY_BYTES or len(self.secret) != KEY_BYTES:
            raise KeyFault(f"a key has {KEY_BYTES} bytes, not {len(self.public)} and {len(self.secret)}")

    @property
    def public_text(self) -> str:
        """The public key as 40 letters (Z85)."""
        return key_text(self.public)


def key_text(key: bytes) -> str:
    """Return a key's 40 letters: Z85, ZeroMQ RFC 32, five letters for each four bytes, big-endian."""
    letters = []
    for place in range(0, len(key), 4):
        value = int.from_bytes(key[place : place + 4], "big")
        letters += [_Z85[value // 85**power % 85] for power in (4, 3, 2, 1, 0)]
    return "".join(letters)


def read_public(text: str) -> bytes:
    """Return the 32 bytes of a public key written as 40 letters. Raises KeyFault saying what is wrong."""
    return _read_key(text, "public key")


def load(path: Path) -> KeyPair:
    """Read the key pair of `path`. Raises KeyFault when it cannot be read, others can read it, or it is no key file."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise KeyFault(f"the key file {path} cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFault(f"others may read the key file {path}; make it private: chmod 600 {path}")
    found = dict(_LINE.findall(text))
    if found.keys() != {"public", "secret"}:
        raise KeyFault(f'the key file {path} needs a line public = "…" and a line secret = "…"; restore or remove it')
    try:
        return KeyPair(public=read_public(found["public"]), secret=_read_key(found["secret"], "secret key"))
    except KeyFault as error:
        raise KeyFault(f"the key file {path} is damaged: {error}; restore or remove it") from error


def save(path: Path, pair: KeyPair) -> None:
    """Write `pair` to a new file only its owner can read, whole or not at all.

    Raises KeyFault, also when the file is there already.
    """
    text = (
        "# CURVE key pair of this part. The secret never leaves this machine.\n"
        f'public = "{pair.public_text}"\nsecret = "{key_text(pair.secret)}"\n'
    )
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(0o600)
        with partial.open("w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(
                partial, path
            )  # fails when somebody made the file meanwhile, where a rename would replace their key
        finally:
            partial.unlink()
    except OSError as error:
        raise KeyFault(f"the key file {path} cannot be written: {error.strerror}") from error


def _read_key(text: str, what: str) -> bytes:
    if len(text) != KEY_LETTERS:
        raise KeyFault(f"a {what} has {KEY_LETTERS} letters, not {len(text)}")
    key = bytearray()
    for place in range(0, KEY_LETTERS, 5):
        value = 0
        for letter in text[place : place + 5]:
            if letter not in _Z85_VALUES:
                raise KeyFault(f"a {what} consists of Z85 letters; one of its letters is none")
            value = value * 85 + _Z85_VALUES[letter]
        if value > 0xFFFFFFFF:
            raise KeyFault(f"the letters are no {what}: they stand for too large a number")
        key += value.to_bytes(4, "big")
    return bytes(key)
