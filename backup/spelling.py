r"""How a path is written where only text goes, so that it can be read back: as it is, or with its odd bytes named.

A path may hold any bytes but NUL. One that is printable UTF-8 is written as it is; any other as the shell would be told
it, `$'caf\xe9'`: bash, zsh and ksh make the name of that, and `bkp` understands it itself where no shell did.
"""

from __future__ import annotations

import os
import re
from shlex import quote
from typing import Final

_BEGIN, _END = "$'", "'"
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_LETTERS: Final = {b"\\": b"\\", b"'": b"'", b"n": b"\n", b"t": b"\t", b"r": b"\r"}


def shown(path: str) -> str:
    """Return a path as it can be shown anywhere and given to --path; its bytes that are no UTF-8 are surrogates."""
    if path.isprintable() and not path.startswith(_BEGIN):
        return path
    return f"{_BEGIN}{''.join(map(_spelt, path))}{_END}"


def for_shell(path: str) -> str:
    """Return a path as one word of a shell's command line."""
    written = shown(path)
    return written if written.startswith(_BEGIN) else quote(written)


def read_shown(text: str) -> str:
    """Return the path that `shown` wrote so; what is written as it is means itself. Raises ValueError."""
    if not (text.startswith(_BEGIN) and text.endswith(_END) and len(text) > len(_BEGIN)):
        return text
    return os.fsdecode(_ESCAPE.sub(_meant, os.fsencode(text[len(_BEGIN) : -len(_END)])))


def _spelt(letter: str) -> str:
    if letter in "\\'":
        return f"\\{letter}"
    return letter if letter.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


def _meant(escape: re.Match[bytes]) -> bytes:
    if escape[1] is not None:
        return bytes.fromhex(escape[1].decode())
    if escape[2] not in _LETTERS:
        raise ValueError(f"\\{escape[2].decode(errors='replace')} means nothing in {_BEGIN}…{_END}")
    return _LETTERS[escape[2]]
