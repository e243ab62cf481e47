"""Files of an archive at a target: each signed by its host, encrypted to the station, compared when it was written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.errors import BackupDamaged, EngineFailed, ObjectMissing, SignatureBad, TargetDiffers
from backup.keys.sealing import seal, unseal
from backup.targets.reading import read_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backup.keys.key import Key
    from backup.keys.ring import KeyRing
    from backup.targets.contract import Target

SEAL: Final = r"(?:\.(?P<sealed>[0-9a-f]{16})\.(?P<sealed_bytes>\d{1,12}))?"
"""How a name at a target ends, before its last ending, that tells a seal; files of before have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a file's own name says of it as it lies there, so that whoever may read can compare it without a key.

    digest: the first 16 hex digits of its SHA-256.
    """

    digest: str
    size_bytes: int

    @property
    def ending(self) -> str:
        """What stands in the name."""
        return f".{self.digest}.{self.size_bytes}"


def read_seal(found: dict[str, str | None]) -> Seal | None:
    """Return the seal that the groups of SEAL found; None of a file of before."""
    digest, size = found["sealed"], found["sealed_bytes"]
    return None if digest is None or size is None else Seal(digest=digest, size_bytes=int(size))


def seal_of(sealed: bytes) -> Seal:
    """Return the seal of a file's bytes."""
    return Seal(digest=hashlib.sha256(sealed).hexdigest()[:16], size_bytes=len(sealed))


def put_sealed(
    target: Target,
    ring: KeyRing,
    name_of: Callable[[Seal], str],
    content: bytes,
    signer: Key,
    recipients: Sequence[Key],
) -> Seal:
    """Seal and write a file under the name its seal gives it, and read it back; return the seal.

    Raises TargetDiffers, and what keys and target raise.
    """
    sealed = seal(ring, content, signer, recipients)
    made = seal_of(sealed)
    name = name_of(made)
    target.write(name, sealed)
    if b"".join(target.read(name)) != sealed:
        raise TargetDiffers(f"{name} is not what was written there")
    return made


def is_as_sealed(target: Target, name: str, told: Seal) -> bool:
    """Read a file and tell whether it is what its name says. Raises what the target raises."""
    try:
        digest, size = read_sha256(target, name)
    except ObjectMissing:
        return False
    return (digest[:16], size) == (told.digest, told.size_bytes)


def get_sealed(target: Target, ring: KeyRing, host: str, name: str, limit_bytes: int) -> bytes:
    """Return what was sealed, at most `limit_bytes`, by a key that may sign for `host`.

    Raises ObjectMissing, KeyWrong, SignatureBad or BackupDamaged naming the file.
    """
    return open_sealed(ring, host, name, b"".join(target.read(name)), limit_bytes)


def open_sealed(ring: KeyRing, host: str, name: str, sealed: bytes, limit_bytes: int) -> bytes:
    """Return the same of a file's bytes, which were read. Raises the same, but ObjectMissing."""
    try:
        opened = unseal(ring, sealed, limit_bytes)
    except SignatureBad as error:
        raise type(error)(f"{name}: {error}") from error
    except EngineFailed as error:  # not for want of a key: that would be told as such
        raise BackupDamaged(f"{name} cannot be decrypted: {error}") from error
    if opened.signer not in ring.signers().get(host, frozenset()):
        raise SignatureBad(f"{name}: it is signed by {opened.signer}, which may not sign for {host!r}")
    return opened.content
