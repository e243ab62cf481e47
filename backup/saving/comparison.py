"""Whether what lies at the target is what was sent: read back, every byte of it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, Protocol

from backup.errors import EngineFailed, TargetDiffers
from backup.model import Role, VolumeRecord, read_instant
from backup.targets.etag import EtagSum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from backup.targets.contract import Target

_VOLUME: Final = re.compile(rb"^Volume (\d+):$")
_HASH: Final = re.compile(rb"^\s+Hash SHA1 ([0-9a-f]{40})$")
_RUN: Final = re.compile(
    r"duplicity-(?:full|full-signatures|(?:inc|new-signatures)\.\d{8}T\d{6}Z\.to)\.(\d{8}T\d{6}Z)\."
)
_VOLUME_NUMBER: Final = re.compile(r"\.vol(\d+)\.difftar\.gpg$")


class _Sum(Protocol):
    def update(self, piece: bytes, /) -> None: ...


def role_of(name: str) -> Role | None:
    """Return what a file of duplicity's is for, by its name; None when it is none of them."""
    if not name.startswith("duplicity-"):
        return None
    if _VOLUME_NUMBER.search(name):
        return Role.VOLUME
    if name.endswith(".manifest.gpg"):
        return Role.MANIFEST
    return Role.SIGNATURES if name.endswith(".sigtar.gpg") else None


def run_instant(name: str) -> datetime | None:
    """Return the instant of the run that a file of duplicity's is of, by its name; None when it is none of them.

    The folder of its part may stand before it.
    """
    match = _RUN.match(name.rpartition("/")[2])
    try:
        return None if match is None else read_instant(match[1])
    except ValueError:
        return None


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


def compare(
    target: Target,
    folder: str,
    names: Mapping[str, int],
    sums: Mapping[int, str],
    on_bytes: Callable[[int], None] | None = None,
) -> list[VolumeRecord]:
    """Read back every file in `names` (name to size as listed) and compare with what duplicity meant to send.

    Raises TargetDiffers or ObjectMissing naming the file, EngineFailed when duplicity's own list has no sum or a volume
    more than there are.
    """
    found = [_read_back(target, folder, name, size, sums, on_bytes) for name, size in sorted(names.items())]
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


def _read_back(
    target: Target,
    folder: str,
    name: str,
    listed: int,
    sums: Mapping[int, str],
    on_bytes: Callable[[int], None] | None,
) -> VolumeRecord:
    role = role_of(name)
    if role is None:
        raise TargetDiffers(f"{folder}/{name} is no file of duplicity's; who put it there?")
    path = f"{folder}/{name}"
    stat = target.stat(path)
    sha1 = hashlib.sha1(usedforsecurity=False)
    etag = EtagSum(stat.part_bytes)
    sha256, size = hashlib.sha256(), 0
    asked: list[_Sum] = [
        sha256
    ]  # what nobody compares is not computed: three sums were a tenth of a full's processor time
    asked += [sha1] if role is Role.VOLUME else []
    asked += [etag] if stat.md5 is not None else []
    for piece in target.read(path):
        for digest in asked:
            digest.update(piece)
        size += len(piece)
        if on_bytes is not None:
            on_bytes(len(piece))
    if not size == stat.size_bytes == listed:
        raise TargetDiffers(f"{path}: listed with {listed} bytes, said to have {stat.size_bytes}, read {size}")
    if stat.md5 is not None and stat.md5 != etag.text():
        raise TargetDiffers(f"{path}: the target says MD5 {stat.md5}, what it sends has {etag.text()}")
    own = None
    if role is Role.VOLUME:
        own = sums.get(volume_number(name))
        if own is None:
            raise EngineFailed(f"{path}: duplicity's manifest has no SHA-1 of it")
        if own != sha1.hexdigest():
            raise TargetDiffers(f"{path}: sent with SHA-1 {own}, it has {sha1.hexdigest()} at the target")
    return VolumeRecord(name=name, role=role, size_bytes=size, sha256=sha256.hexdigest(), sha1=own)


def volume_number(name: str) -> int:
    """Return the number of a volume by its name; 0 when it is none."""
    match = _VOLUME_NUMBER.search(name)
    return int(match[1]) if match else 0
