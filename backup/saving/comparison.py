"""Whether what lies at the target is what was sent: read back, every byte of it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from backup.engine.names import role_of, volume_number
from backup.errors import EngineFailed, TargetDiffers
from backup.model import Role, VolumeRecord
from backup.spelling import shown
from backup.targets.etag import EtagSum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backup.targets.contract import Stat, Target

_VOLUME: Final = re.compile(rb"^Volume (\d+):$")
_HASH: Final = re.compile(rb"^\s+Hash SHA1 ([0-9a-f]{40})$")


class _Sum(Protocol):
    def update(self, piece: bytes, /) -> None: ...


def volume_sums(local_manifest: bytes) -> Mapping[int, str]:
    """Return SHA-1 by volume number from duplicity's manifest as it lies, in the clear, in the cache."""
    found: dict[int, str] = {}
    number = 0
    for line in local_manifest.splitlines():
        volume, digest = _VOLUME.match(line), _HASH.match(line)
        if volume:
            number = int(volume[1])
        elif digest:
            found[number] = digest[1].decode("ascii")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What the target says of a file, and what it gave of it; sums are None where nobody compares them."""

    stat: Stat
    size_bytes: int
    sha256: str
    sha1: str | None
    md5: str | None


def read_back(target: Target, path: str, on_bytes: Callable[[int], None] | None = None) -> ReadBack:
    """Read a file at the target. Raises ObjectMissing and what else the target raises."""
    stat = target.stat(path)
    sha1 = hashlib.sha1(usedforsecurity=False)
    etag = EtagSum(stat.part_bytes)
    sha256, size = hashlib.sha256(), 0
    is_volume, has_etag = role_of(_plain(path)) is Role.VOLUME, stat.md5 is not None
    asked: list[_Sum] = [sha256]  # what nobody compares is not computed: it was a tenth of a full's processor time
    asked += [sha1] if is_volume else []
    asked += [etag] if has_etag else []
    for piece in target.read(path):
        for digest in asked:
            digest.update(piece)
        size += len(piece)
        if on_bytes is not None:
            on_bytes(len(piece))
    return ReadBack(
        stat=stat,
        size_bytes=size,
        sha256=sha256.hexdigest(),
        sha1=sha1.hexdigest() if is_volume else None,
        md5=etag.text() if has_etag else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a run knows of its files before it compares them.

    early: what was read back meanwhile, by path. sealed: the SHA-256 (hex) of the lists that were encrypted, of which
    duplicity has no sums; one that has none of them is not what was sent. None where nobody summed.
    """

    early: Mapping[str, ReadBack] = field(default_factory=dict)
    sealed: frozenset[str] | None = None


def compare(
    target: Target,
    folder: str,
    names: Mapping[str, int],
    sums: Mapping[int, str],
    *,
    known: Known = Known(),
    on_bytes: Callable[[int], None] | None = None,
) -> list[VolumeRecord]:
    """Read back every file in `names` (name to size as listed) and compare with what duplicity meant to send.

    What was read early counts where the target still says the same of the file. Raises
    TargetDiffers or ObjectMissing naming the file, EngineFailed when duplicity's own list has no sum or a volume more
    than there are.
    """
    found = []
    for name, size in sorted(names.items()):
        path = f"{folder}/{name}"
        read = known.early.get(path)
        if read is None or target.stat(path) != read.stat:
            read = read_back(target, path, on_bytes)
        record = _judged(path, read, size, sums)
        if known.sealed is not None and record.role is not Role.VOLUME and record.sha256 not in known.sealed:
            raise TargetDiffers(f"{path} is not what was encrypted here and sent there")
        found.append(record)
    volumes = {volume_number(record.name) for record in found if record.role is Role.VOLUME}
    if volumes != set(sums):
        missing = sorted(set(sums) - volumes)
        raise TargetDiffers(
            f"{folder}: volumes there and in duplicity's manifest differ; missing there: {missing or 'none'}"
        )
    for role in (Role.MANIFEST, Role.SIGNATURES):
        if sum(1 for record in found if record.role is role) != 1:
            raise TargetDiffers(f"{folder}: duplicity's {role.value} file is not there exactly once")
    return found


def _judged(path: str, read: ReadBack, listed: int, sums: Mapping[int, str]) -> VolumeRecord:
    name, stat = _plain(path), read.stat
    role = role_of(name)
    if role is None:
        raise TargetDiffers(f"{shown(path)} is no file of duplicity's; who put it there?")
    if not read.size_bytes == stat.size_bytes == listed:
        raise TargetDiffers(
            f"{path}: listed with {listed} bytes, said to have {stat.size_bytes}, read {read.size_bytes}"
        )
    if stat.md5 != read.md5:
        raise TargetDiffers(f"{path}: the target says MD5 {stat.md5}, what it sends has {read.md5}")
    own = None
    if role is Role.VOLUME:
        own = sums.get(volume_number(name))
        if own is None:
            raise EngineFailed(f"{path}: duplicity's manifest has no SHA-1 of it")
        if own != read.sha1:
            raise TargetDiffers(f"{path}: sent with SHA-1 {own}, it has {read.sha1} at the target")
    return VolumeRecord(name=name, role=role, size_bytes=read.size_bytes, sha256=read.sha256, sha1=own)


def _plain(path: str) -> str:
    return path.rpartition("/")[2]
