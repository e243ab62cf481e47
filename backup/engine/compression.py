"""Who compresses what duplicity has encrypted: we do, or gpg where it does not take what is compressed already.

Where we do, the lists that came out of gpg are summed as well, before duplicity sends them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.engine.compressing.compress import library_folder, packed
from backup.errors import EngineFailed, TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT: Final = b"watchkeep tries whether gpg takes what is compressed\n"
_LITERAL: Final = bytes((0xCB, 6 + len(_TEXT))) + b"b" + bytes(5) + _TEXT  # RFC 4880, 5.9: binary, no name, no date
_THROWN_AWAY: Final = ("--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase=none", "--no-symkey-cache")
_TIME_LIMIT_SECONDS: Final = 60.0
_USUAL_PIPE_BYTES: Final = 64 << 10  # Linux's (pipe, 7)
_WIDEST_PIPE_BYTES: Final = 256 << 10  # more was no faster


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """What duplicity is told for it: arguments, and an environment.

    listing: where the sums of the lists that are encrypted are written down; None: nowhere.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    listing: Path | None = None

    def sealed(self) -> frozenset[str] | None:
        """Return the SHA-256 (hex) of the lists encrypted since; None where nobody sums. Raises EngineFailed."""
        if self.listing is None:
            return None
        try:
            return frozenset(self.listing.read_text(encoding="ascii").split())
        except (OSError, UnicodeDecodeError) as error:
            raise EngineFailed(f"{self.listing}, the sums of what was encrypted, cannot be read: {error}") from error


BY_GPG: Final = Compression(arguments=("--gpg-options=--compress-algo zlib --compress-level 1",))


def ours(folder: Path | None = None, volume_bytes: int = 0) -> Compression:
    """Return the one that has us compress, and write sums into a folder; None: nowhere. volume_bytes: of a volume.

    Raises EngineFailed when what does it cannot be started.
    """
    script = Path(__file__).parent / "compressing" / "gpg"
    if not os.access(script, os.X_OK):
        raise EngineFailed(f"{script} cannot be run: allow that again (chmod +x), or install Watchkeep anew")
    listing = None if folder is None else folder / "sealed"
    if listing is not None:
        listing.unlink(missing_ok=True)
    return Compression(
        arguments=(f"--gpg-binary={script}",),
        environment={
            "WATCHKEEP_PYTHON": sys.executable,
            "WATCHKEEP_LIBRARIES": library_folder(),
            "WATCHKEEP_PIPE_BYTES": str(_pipe_bytes(volume_bytes)),
        }
        | ({} if listing is None else {"WATCHKEEP_SEALED": str(listing)}),
        listing=listing,
    )


def _pipe_bytes(volume_bytes: int) -> int:
    """Return how much a pipe between the programs may hold: by that a volume is larger than duplicity sees it."""
    return min(_WIDEST_PIPE_BYTES, max(_USUAL_PIPE_BYTES, volume_bytes >> 7))


def choose_compression(environment: Mapping[str, str], folder: Path, volume_bytes: int) -> Compression:
    """Return the one that fits the gpg of this machine; `environment` is laid over our own, sums go into `folder`.

    Half of it is an option of gpg that is "not for normal use". One that came to ignore it would make backups nobody
    can read, and none that a host could find out: so each run tries it. Raises EngineFailed, TimedOut.
    """
    return ours(folder, volume_bytes) if _takes_packets(os.environ | dict(environment)) else BY_GPG


def _takes_packets(environment: Mapping[str, str]) -> bool:
    """Tell whether a text comes back that was compressed by us and encrypted by gpg, to a passphrase for that alone."""
    packet = b"".join(packed(iter([_LITERAL])))
    sealed = _ask(["--symmetric", "--s2k-mode=0", "--compress-algo=none", "--no-literal"], packet, environment)
    return _ask(["--decrypt"], sealed, environment) == _TEXT


def _ask(command: list[str], content: bytes, environment: Mapping[str, str]) -> bytes:
    try:
        done = subprocess.run(
            ["gpg", *_THROWN_AWAY, *command],
            input=content, env=environment, capture_output=True, timeout=_TIME_LIMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TimedOut(f"gpg did not answer within {_TIME_LIMIT_SECONDS:g} s; is its agent in the way?") from error
    except OSError as error:
        raise EngineFailed(f"gpg cannot be started: {error.strerror}") from error
    return done.stdout if done.returncode == 0 else b""
