"""A role's key folder: a GNUPGHOME of its own, its passphrase file, and what is done with the keys in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key in a ring. name: its user id. `can_encrypt` and `can_sign` speak of the key or a subkey of it."""

    fingerprint: str
    name: str
    made_at: datetime
    expires_at: datetime | None
    has_secret: bool
    can_encrypt: bool
    can_sign: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A text whose signature holds, and the primary fingerprint of the key that made it."""

    text: str
    signer: str


class KeyRing:
    """One GNUPGHOME. No call here ever prompts; each ends within 10 s or raises TimedOut.

    A context manager: leaving it ends the gpg-agent of this home, so that no passphrase stays in memory.
    """

    def __init__(self, home: Path, passphrase_file: Path) -> None:
        """Open a key folder. Raises KeyMissing when it is not there, KeyBusy when others may enter it."""
        self.home = home
        self.passphrase_file = passphrase_file

    def keys(self) -> list[Key]:
        """Return every key, in the order of their making."""
        raise NotImplementedError

    def signing_key(self, now: datetime) -> Key:
        """Return the one key that signs. Raises KeyMissing, KeyExpired."""
        raise NotImplementedError

    def recipients(self, wanted: tuple[str, ...], now: datetime) -> list[Key]:
        """Return the keys to encrypt to: `wanted`, or all that encrypt. Raises KeyMissing, KeyExpired naming them."""
        raise NotImplementedError

    def decryption_keys(self) -> list[Key]:
        """Return the keys that decrypt. Raises KeyMissing when there is none. An expired one still decrypts."""
        raise NotImplementedError

    def signers(self) -> Mapping[str, frozenset[str]]:
        """Return for each host the fingerprints trusted to sign for it (user id "HOST (watchkeep host) …")."""
        raise NotImplementedError

    def passphrase(self) -> str:
        """Return the passphrase. Raises PassphraseMissing."""
        raise NotImplementedError

    def check_passphrase(self, key: Key) -> None:
        """Return when the passphrase opens the key's secret. Raises PassphraseMissing, PassphraseWrong, KeyMissing."""
        raise NotImplementedError

    def clear_sign(self, text: str, key: Key) -> str:
        """Return `text` clear-signed by `key`. Raises PassphraseWrong, KeyExpired, EngineFailed."""
        raise NotImplementedError

    def verify(self, signed: str) -> Verified:
        """Return the signed text and who signed it. Raises SignatureBad, also when the key is not in this ring."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return what duplicity needs to use this ring: GNUPGHOME, PASSPHRASE, SIGN_PASSPHRASE (always, even empty)."""
        raise NotImplementedError
