"""Texts and files that the keys of a ring sign, verify, encrypt and decrypt. No call prompts; each wait is timed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.errors import SignatureBad, SignerUnknown
from backup.keys.gpg import trouble
from backup.keys.key import described

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backup.keys.key import Key
    from backup.keys.ring import KeyRing

_NO_PUBLIC_KEY: Final = re.compile(r"^\[GNUPG:\] NO_PUBKEY ([0-9A-F]+)$", re.MULTILINE)
_CLEAR_SIGNED: Final = "-----BEGIN PGP SIGNED MESSAGE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A text whose signature holds, and the primary fingerprint of the key that made it."""

    text: str
    signer: str


def clear_sign(ring: KeyRing, text: str, key: Key) -> str:
    """Return `text` clear-signed by `key`. Raises PassphraseWrong, KeyExpired, EngineFailed."""
    passphrase = ring.passphrase()
    gpg = ring.gpg
    signed = gpg.ask(lambda: gpg.sign(text, keyid=key.fingerprint, passphrase=passphrase, clearsign=True))
    if not signed:
        raise trouble(str(signed.stderr), f"signing with {described(key)}")
    return str(signed)


def verify(ring: KeyRing, signed: str) -> Verified:
    """Return the signed text and who signed it. Raises SignatureBad; SignerUnknown: the key is not in the ring.

    The text is what gpg says was signed, not what stands in the file around the signature. A signature made
    before its key expired still holds; a revoked key's does not.
    """
    if not signed.startswith(_CLEAR_SIGNED):  # anything else may be compressed: gigabytes out of a few kilobytes
        raise SignatureBad("it is no signed text")
    result = ring.gpg.ask(lambda: ring.gpg.decrypt(signed, passphrase=None))
    status = str(result.stderr)
    valid = re.findall(r"^\[GNUPG:\] VALIDSIG (.*)$", status, re.MULTILINE)
    good = re.findall(r"^\[GNUPG:\] (GOODSIG|EXPSIG|EXPKEYSIG|REVKEYSIG|BADSIG|ERRSIG) ", status, re.MULTILINE)
    if good == ["ERRSIG"] and (unknown := _NO_PUBLIC_KEY.search(status)):
        raise SignerUnknown(f"its signer {unknown[1]} is not known here")
    if len(valid) != 1 or good not in (["GOODSIG"], ["EXPKEYSIG"]):
        why = {"BADSIG": "it was changed after it was signed", "ERRSIG": "its signature cannot be checked"}
        raise SignatureBad(why.get(good[0], f"gpg says {good[0]}") if len(good) == 1 else "it has no valid signature")
    return Verified(text=bytes(result.data).decode("utf-8"), signer=valid[0].split()[-1])


def encrypt(ring: KeyRing, text: str, recipients: Sequence[Key]) -> str:
    """Return `text` encrypted to these keys, armoured. Raises KeyExpired, EngineFailed."""
    gpg = ring.gpg
    wanted = [key.fingerprint for key in recipients]
    sealed = gpg.ask(lambda: gpg.encrypt(text, wanted, always_trust=True))
    if not sealed.ok:
        raise trouble(str(sealed.stderr), "encrypting")
    return str(sealed)


def decrypt(ring: KeyRing, sealed: str) -> str:
    """Return what was encrypted to a key of the ring. Raises KeyWrong, PassphraseWrong, PassphraseMissing."""
    passphrase = ring.passphrase()
    gpg = ring.gpg
    opened = gpg.ask(lambda: gpg.decrypt(sealed, passphrase=passphrase))
    if not opened.ok:
        raise trouble(str(opened.stderr), "decrypting")
    return bytes(opened.data).decode("utf-8")


def decrypt_file(ring: KeyRing, sealed: Path, to: Path, limit_seconds: float) -> None:
    """Decrypt a file into another, which may be large. Raises as `decrypt` does."""
    passphrase = ring.passphrase()
    gpg = ring.gpg
    opened = gpg.ask(lambda: gpg.decrypt_file(str(sealed), passphrase=passphrase, output=str(to)), limit_seconds)
    if not opened.ok:
        raise trouble(str(opened.stderr), f"decrypting {sealed.name}")
