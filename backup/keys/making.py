"""New key pairs, by role: the station's decrypts, a host's signs."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backup.errors import Cancelled, KeyBusy
from backup.keys.gpg import AGENT_CONFIG, PLAIN_CONFIG, check_room
from backup.keys.key import HOST_MARK, STATION_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.keys.key import Key
    from backup.keys.ring import KeyRing

_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another on paper
_GROUPS, _GROUP_LETTERS = 6, 5  # 31^30, 148 bits
DEFAULT_LIFETIME: Final = timedelta(days=3 * 365)


def make_station_pair(ring: KeyRing, name: str, lifetime: timedelta | None = DEFAULT_LIFETIME) -> Key:
    """Make the pair backups are encrypted to: ed25519 with a cv25519 subkey, its secret locked by the passphrase.

    `lifetime` None: it never expires. An expired key encrypts nothing more, and decrypts what there is.
    """
    subkey = ("Subkey-Type: ECDH", "Subkey-Curve: cv25519", "Subkey-Usage: encrypt")
    return _make(ring, f"{name} ({STATION_MARK})", (*_name_lines(name, STATION_MARK), *subkey), lifetime)


def make_host_pair(ring: KeyRing, host: str, lifetime: timedelta | None = DEFAULT_LIFETIME) -> Key:
    """Make the pair a host signs with: ed25519, and no subkey that could decrypt anything."""
    return _make(ring, f"{host} ({HOST_MARK})", _name_lines(host, HOST_MARK), lifetime)


def make_folder(home: Path, *, is_passphrase_random: bool = False) -> None:
    """Make a key folder, private, whose agent forgets passphrases at once. One that is there is left as it is.

    is_passphrase_random: its passphrase is one of ours, which needs no stretching. Raises KeyBusy when it cannot be
    made.
    """
    check_room(home)
    config = home / "gpg-agent.conf"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        if not config.exists():
            config.write_text(AGENT_CONFIG + (PLAIN_CONFIG if is_passphrase_random else ""), encoding="utf-8")
    except OSError as error:
        raise KeyBusy(f"the key folder {home} cannot be made: {error.strerror}") from error


def make_passphrase_file(path: Path) -> bool:
    """Make a passphrase file with a new passphrase; return whether it was. One that is there stays. Raises KeyBusy."""
    words = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_LETTERS)) for _ in range(_GROUPS))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise KeyBusy(f"the passphrase file {path} cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("-".join(words) + "\n")
    return True


@contextmanager
def gone_when_broken_off(home: Path, passphrase_file: Path) -> Iterator[None]:
    """Within this, make a key folder and its passphrase file; of what was not there before nothing stays on Cancelled.

    What is broken off has told nobody of its key. Other failures leave both for the next try.
    """
    is_home_new, is_file_new = not home.exists(), not passphrase_file.exists()
    try:
        yield
    except Cancelled:
        if is_home_new:
            shutil.rmtree(home, ignore_errors=True)
            if is_file_new:
                passphrase_file.unlink(missing_ok=True)
        raise


def _name_lines(name: str, mark: str) -> tuple[str, ...]:
    usage = "sign" if mark == HOST_MARK else "cert,sign"
    return (
        "Key-Type: EDDSA",
        "Key-Curve: ed25519",
        f"Key-Usage: {usage}",
        f"Name-Real: {name}",
        f"Name-Comment: {mark}",
    )


def _make(ring: KeyRing, name: str, lines: tuple[str, ...], lifetime: timedelta | None) -> Key:
    expires = "0" if lifetime is None else f"seconds={int(lifetime.total_seconds())}"
    # gpg's batch form cannot quote: a line break in a value would begin another setting.
    parts = [*lines, f"Expire-Date: {expires}", f"Passphrase: {ring.passphrase()}", "%commit"]
    if any("\n" in part or "\r" in part for part in parts):
        raise KeyBusy("a name or passphrase has a line break")
    return ring.make("\n".join(parts) + "\n", name)
