"""duplicity's signature files: a tar of what one run found new, changed or gone since the run before.

Names in it are `snapshot/PATH` (folders, links, devices), `signature/PATH` (files; the content is a librsync signature:
magic, block length, length of a strong sum, then sums a block) and `deleted/PATH`. So a file's size is known to the
block, and whether its content changed is known exactly.
"""

from __future__ import annotations

import hashlib
import struct
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.errors import EngineFailed, ObjectMissing, TargetDiffers
from backup.keys.messages import decrypt_file
from backup.model import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.model import Manifest
    from backup.station.station import Station

_COSTS: Final = {
    Role.SIGNATURES: "the list of files; restores do without: `bkp verify` shows what it costs",
    Role.MANIFEST: "the list of volumes, which restoring needs: `bkp verify` shows what that costs",
}
_HEADER: Final = struct.Struct(">4sII")
_MAGIC: Final = b"rs\x01"  # librsync's signatures, whatever their sums are
_WEAK_SUM_BYTES: Final = 4
_MOST_SIGNATURE_BYTES: Final = 1 << 30  # of one file: 8 TiB at the least block length duplicity takes for that


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a signature says of a file's bytes: how many there are at least and at most, and a digest of its sums.

    Two digests can be compared when the block lengths are the same.
    """

    least_bytes: int
    most_bytes: int
    block_bytes: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something in a backup. `path` is relative to the set's root, its bytes that are no UTF-8 as surrogates.

    kind: "file", "folder", "link" or "other". mode: permission bits. content: of files; link: where a link leads.
    """

    path: str
    kind: str
    changed_at: datetime
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    content: Content | None = None
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a run found at a path, in one part of the set; entry None: it was gone."""

    path: str
    entry: Entry | None
    part: str = ""


def fetch_list(station: Station, manifest: Manifest, part: str, role: Role, folder: Path) -> Path:
    """Bring signatures, or the list of volumes, of one part of a run into `folder`, decrypted.

    They are what the signed manifest names. Raises ObjectMissing, TargetDiffers, and what target and keys raise.
    """
    found = [volume for volume in manifest.volumes if volume.role is role and volume.part == part]
    if len(found) != 1:
        raise EngineFailed(f"the manifest {manifest.name} names {len(found)} files of {role.value} instead of one")
    name = f"{station.place.chain(manifest.chain)}/{found[0].name}"
    sealed = folder / found[0].name
    sealed.parent.mkdir(exist_ok=True)
    plain = sealed.with_name(sealed.name.removesuffix(".gpg"))
    digest = hashlib.sha256()
    try:
        with sealed.open("wb") as file:
            for piece in station.target.read(name):
                digest.update(piece)
                file.write(piece)
    except ObjectMissing as error:
        raise ObjectMissing(f"{name} is missing at the target, and with it {_COSTS[role]}") from error
    if digest.hexdigest() != found[0].sha256:
        raise TargetDiffers(f"{name} is not what was sent there (SHA-256 differs), and lost with it is {_COSTS[role]}")
    decrypt_file(station.ring, sealed, plain, station.chosen.time_limit.total_seconds())
    sealed.unlink()
    return plain


def read_changes(file: Path, part: str = "") -> Iterator[Change]:
    """Yield what the signature file of a part says, in its order: a folder before its content. Raises EngineFailed."""
    for how, path, member, tar in read_members(file):
        if path:
            yield Change(path=path, entry=None if how == "deleted" else _entry(tar, member, path), part=part)


def read_members(file: Path) -> Iterator[tuple[str, str, tarfile.TarInfo, tarfile.TarFile]]:
    """Yield each member: "signature", "snapshot" or "deleted", its path ("" is the root), itself, and the tar.

    Raises EngineFailed.
    """
    try:
        with tarfile.open(file, "r|*", errors="surrogateescape", encoding="utf-8") as tar:
            for member in tar:
                how, _, path = member.name.partition("/")
                if how not in ("signature", "snapshot", "deleted"):
                    raise EngineFailed(f"{file.name} has an entry {member.name!r:.80}; is it of a newer duplicity?")
                yield how, path, member, tar
    except (tarfile.TarError, OSError, EOFError) as error:
        raise EngineFailed(f"{file.name} cannot be read as a list of files: {error}") from error


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Entry:
    kind = "file" if member.isreg() else "folder" if member.isdir() else "link" if member.issym() else "other"
    return Entry(
        path=path,
        kind=kind,
        changed_at=datetime.fromtimestamp(member.mtime, UTC),
        mode=member.mode & 0o7777,
        owner=(member.uid, member.gid),
        content=_content(tar, member) if kind == "file" else None,
        link=member.linkname if kind == "link" else "",
    )


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Content | None:
    """Return what a file's signature says; None when it cannot be understood: then size and change are not known."""
    if not _HEADER.size <= member.size <= _MOST_SIGNATURE_BYTES:
        return None
    opened = tar.extractfile(member)
    if opened is None:
        return None
    header = opened.read(_HEADER.size)
    magic, block, strong = _HEADER.unpack(header)
    if not magic.startswith(_MAGIC) or block == 0:
        return None
    digest = hashlib.blake2b(header, digest_size=16)
    while piece := opened.read(1 << 20):
        digest.update(piece)
    blocks = (member.size - _HEADER.size) // (_WEAK_SUM_BYTES + strong)
    return Content(
        least_bytes=max(0, blocks - 1) * block + (1 if blocks else 0),
        most_bytes=blocks * block,
        block_bytes=block,
        digest=digest.digest(),
    )
