"""Small files of ours encrypted to the station and signed by the host, in one piece, in memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.errors import SignatureBad, SignerUnknown
from backup.keys.gpg import trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.keys.key import Key
    from backup.keys.ring import KeyRing

_VALID: Final = re.compile(r"^\[GNUPG:\] VALIDSIG (.*)$", re.MULTILINE)
_JUDGED: Final = re.compile(r"^\[GNUPG:\] (GOODSIG|EXPSIG|EXPKEYSIG|REVKEYSIG|BADSIG|ERRSIG) ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """What was sealed, and the primary fingerprint of the key that signed it."""

    content: bytes
    signer: str


def seal(ring: KeyRing, content: bytes, signer: Key, recipients: Sequence[Key]) -> bytes:
    """Return `content` signed and encrypted. Raises PassphraseWrong, KeyExpired, EngineFailed, TimedOut (10 s)."""
    passphrase = ring.passphrase()
    gpg = ring.gpg
    sealed = gpg.ask(
        lambda: gpg.encrypt(
            content,
            [key.fingerprint for key in recipients],
            sign=signer.fingerprint,
            passphrase=passphrase,
            always_trust=True,
            armor=False,
            extra_args=["--compress-algo", "zlib", "--compress-level", "1"],
        )
    )
    if not sealed.ok:
        raise trouble(str(sealed.stderr), "encrypting")
    return bytes(sealed.data)


def unseal(ring: KeyRing, sealed: bytes, limit_bytes: int) -> Unsealed:
    """Return what was sealed, at most `limit_bytes`: whoever knows the public key can send a small file that swells.

    Raises KeyWrong, PassphraseWrong, SignatureBad (not signed, or changed), SignerUnknown (by a key that is not in this
    ring).
    """
    passphrase = ring.passphrase()
    gpg = ring.gpg
    opened = gpg.ask(
        lambda: gpg.decrypt(
            sealed, passphrase=passphrase, always_trust=True, extra_args=["--max-output", str(limit_bytes)]
        )
    )
    status = str(opened.stderr)
    valid, judged = _VALID.findall(status), _JUDGED.findall(status)
    if not opened.ok and not valid and not judged:
        raise trouble(status, "decrypting")
    if judged == ["ERRSIG"] and "[GNUPG:] NO_PUBKEY" in status:
        raise SignerUnknown("it is signed by a key that is not known here")
    if len(valid) != 1 or judged not in (["GOODSIG"], ["EXPKEYSIG"]) or not opened.ok:
        raise SignatureBad("it has no valid signature of a key that is known here")
    return Unsealed(content=bytes(opened.data), signer=valid[0].split()[-1])
