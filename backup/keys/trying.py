"""Tries the keys of a ring, as a run and a restore will use them, before it matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.errors import EngineFailed, KeyForbidden, KeyMissing, SignatureBad
from backup.keys.key import described
from backup.keys.messages import clear_sign, decrypt, encrypt, verify

if TYPE_CHECKING:
    from datetime import datetime

    from backup.keys.ring import KeyRing

_TEXT = "watchkeep tries its keys\n"


def try_ring(ring: KeyRing, role: str, recipients: tuple[str, ...], now: datetime) -> list[str]:
    """Try every key of a role's ring; return what was tried, in words. Raises the error of what is wrong first."""
    if role == "pruner":
        return _try_pruner(ring)
    return _try_host(ring, recipients, now) if role == "host" else _try_station(ring, now)


def demand_public_only(ring: KeyRing) -> None:
    """Return when a ring has no secret key. Raises KeyForbidden: who may delete must neither sign nor decrypt."""
    secret = ring.pairs()
    if secret:
        raise KeyForbidden(
            f"{ring.home} holds the secret of {described(secret[0])}; a pruner has public keys only: give it a key"
            " folder of its own, with bkp key import FILE --to pruner"
        )


def _try_pruner(ring: KeyRing) -> list[str]:
    demand_public_only(ring)
    known = _known_hosts(ring)
    if not known:
        raise KeyMissing(
            f"{ring.home} knows no host, so it can verify nothing: on each host bkp key export host > host.asc, and"
            " here bkp key import host.asc --to pruner"
        )
    return known


def _try_host(ring: KeyRing, recipients: tuple[str, ...], now: datetime) -> list[str]:
    ring.demand_no_decryption_key()
    signer = ring.signing_key(now)
    verified = verify(ring, clear_sign(ring, _TEXT, signer))
    if verified.signer != signer.fingerprint or verified.text != _TEXT:
        raise SignatureBad(f"{described(signer)} signs, but its signature does not hold")
    to = ring.recipients(recipients, now)
    encrypt(ring, _TEXT, to)
    return [f"{described(signer)} signs", *(f"{described(key)} encrypts" for key in to)]


def _try_station(ring: KeyRing, now: datetime) -> list[str]:
    tried = []
    for key in ring.decryption_keys():
        ring.check_passphrase(key)
        if not key.is_expired(now) and decrypt(ring, encrypt(ring, _TEXT, [key])) != _TEXT:  # expired: encrypts no more
            raise EngineFailed(f"{described(key)} does not decrypt what was encrypted to it")
        tried.append(f"{described(key)} decrypts")
    return [*tried, *_known_hosts(ring)]


def _known_hosts(ring: KeyRing) -> list[str]:
    known = sorted(ring.signers().items())
    return [f"host {host!r} is known by {', '.join(sorted(signers))}" for host, signers in known]
