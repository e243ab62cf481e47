"""Disks in a chain: an image read whole once, and for each run since then the blocks that changed.

In a restore point `disks/vda.raw` is the image as it was when it was last read whole. `changes/vda/0001.data` holds the
blocks that the run after that found changed, one after the other; `changes/vda/0001.map` says where they belong, a line
"OFFSET LENGTH" (bytes) a block. Written over the image in the order of their numbers, they make the disk as it was at
the restore point. An incremental has to show duplicity the files that the chain has already: stand-ins without content
are laid, which duplicity takes for unchanged by their mode and time and does not read.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from backup.errors import BackupDamaged, SourceFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

IMAGES: Final = "disks"
CHANGES: Final = "changes"
_PIECE: Final = 1 << 20
_LIBC: Final = ctypes.CDLL(None)
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # fallocate(2)
_STILL: Final = 1_000_000_000  # the time folders get, so that duplicity never finds one changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one run found changed on a disk. sha256: of the data, then of the map. mtime: of both files."""

    number: int
    extents: int
    data_bytes: int
    map_bytes: int
    sha256: tuple[str, str]
    mtime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk as a restore point has it. name: "vda". source: the image it was read from; mode, mtime: of its stand-in.

    image: the format it had on its machine ("qcow2", "raw"); in the backup it is always raw.
    """

    name: str
    source: str
    image: str
    size_bytes: int
    mode: int
    mtime: int
    changes: tuple[Changes, ...] = ()

    @property
    def file(self) -> str:
        """The path of its image in a restore point."""
        return f"{IMAGES}/{self.name}.raw"


def disks_table(disks: Iterable[Disk]) -> list[dict[str, Any]]:
    """Return disks as plain JSON values for the consistency record."""
    return [asdict(disk) for disk in disks]


def read_disks(record: Mapping[str, Any]) -> list[Disk]:
    """Return the disks of a consistency record. Raises BackupDamaged when it has none that can be understood."""
    try:
        found = [_read(each) for each in record["disks"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BackupDamaged(f"the manifest does not say what its disks are: {error!r}") from error
    names = [disk.name for disk in found]
    if len(set(names)) != len(names) or not all(is_disk_name(name) for name in names):
        raise BackupDamaged(f"the manifest names disks that can be none: {names!r}")
    return found


def is_disk_name(name: str) -> bool:
    """Whether a disk may be called so: it becomes a file's name."""
    return name.replace("-", "").replace("_", "").isalnum() and name.isascii()


def _read(table: Mapping[str, Any]) -> Disk:
    changes = [
        Changes(**{**each, "sha256": (str(each["sha256"][0]), str(each["sha256"][1]))}) for each in table["changes"]
    ]
    if any(not isinstance(each.number, int) for each in changes):
        raise ValueError("numbers of changes")
    return Disk(**{**table, "changes": tuple(changes)})


def lay_stand_ins(folder: Path, disk: Disk) -> None:
    """Lay what stands for a disk's files of the runs before: their size, mode and time, no content."""
    _lay(folder / disk.file, disk.size_bytes, disk.mode, disk.mtime)
    for each in disk.changes:
        data, where = _files(folder, disk.name, each.number)
        _lay(data, each.data_bytes, 0o600, each.mtime)
        _lay(where, each.map_bytes, 0o600, each.mtime)


def _lay(file: Path, size_bytes: int, mode: int, mtime: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as made:
        made.truncate(size_bytes)
    file.chmod(mode)
    os.utime(file, (mtime, mtime))


def write_changes(folder: Path, disk: Disk, image: Path, extents: Sequence[tuple[int, int]]) -> Disk:
    """Write the (offset, length) blocks of `image` as the disk's next changes; return the disk with them.

    Nothing else of `image` is read. Raises SourceFailed when it ends early or cannot be read.
    """
    number = max((each.number for each in disk.changes), default=0) + 1
    data, where = _files(folder, disk.name, number)
    data.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{offset} {length}\n" for offset, length in extents).encode()
    digest, size = hashlib.sha256(), 0
    with image.open("rb", buffering=0) as source, data.open("xb") as made:
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # what is read ahead was not changed
        for offset, length in extents:
            for piece in _pieces(source.fileno(), offset, length, disk.name):
                digest.update(piece)
                size += len(piece)
                made.write(piece)
    where.write_bytes(text)
    mtime = int(data.stat().st_mtime)
    for file in (data, where):
        file.chmod(0o600)
        os.utime(file, (mtime, mtime))
    made_now = Changes(
        number=number,
        extents=len(extents),
        data_bytes=size,
        map_bytes=len(text),
        sha256=(digest.hexdigest(), hashlib.sha256(text).hexdigest()),
        mtime=mtime,
    )
    return replace(disk, changes=(*disk.changes, made_now))


def _pieces(descriptor: int, offset: int, length: int, name: str) -> Iterable[bytes]:
    end = offset + length
    while offset < end:
        try:
            piece = os.pread(descriptor, min(_PIECE, end - offset), offset)
        except OSError as error:
            raise SourceFailed(f"disk {name} cannot be read at byte {offset}: {error.strerror}") from error
        if not piece:
            raise SourceFailed(f"disk {name} ends at byte {offset}, before {end}")
        offset += len(piece)
        yield piece


def settle_folders(top: Path) -> None:
    """Give `top` and its folders a time that is the same at every run."""
    for folder, _, _ in os.walk(top):
        os.utime(folder, (_STILL, _STILL))


def apply_changes(folder: Path, disks: Iterable[Disk]) -> None:
    """Make the images in a restored `folder` what the disks were: write the changes over them and take those away.

    Raises BackupDamaged when a file is missing or is not what was saved. Images are sparse afterwards.
    """
    for disk in disks:
        image = folder / disk.file
        if not image.is_file() or image.stat().st_size != disk.size_bytes:
            raise BackupDamaged(f"{disk.file} is not the image of {disk.size_bytes} bytes that was saved")
        image.chmod(0o600)
        with image.open("r+b") as file:
            for each in disk.changes:
                _apply(folder, disk, each, file.fileno())
            _make_sparse(file.fileno())
    shutil.rmtree(folder / CHANGES, ignore_errors=True)


def _apply(folder: Path, disk: Disk, changes: Changes, descriptor: int) -> None:
    data, where = _files(folder, disk.name, changes.number)
    try:
        text = where.read_bytes()
        if hashlib.sha256(text).hexdigest() != changes.sha256[1]:
            raise BackupDamaged(f"{where.relative_to(folder)} is not what was saved (SHA-256 differs)")
        digest = hashlib.sha256()
        with data.open("rb") as source:
            for line in text.splitlines():
                offset, length = (int(word) for word in line.split())
                while length:
                    piece = source.read(min(_PIECE, length))
                    if not piece or offset + len(piece) > disk.size_bytes:
                        raise BackupDamaged(f"{data.relative_to(folder)} does not fit its map")
                    digest.update(piece)
                    os.pwrite(descriptor, piece, offset)
                    offset, length = offset + len(piece), length - len(piece)
    except FileNotFoundError as error:
        raise BackupDamaged(f"{error.filename} did not come back") from error
    if digest.hexdigest() != changes.sha256[0]:
        raise BackupDamaged(f"{data.relative_to(folder)} is not what was saved (SHA-256 differs)")


def _make_sparse(descriptor: int) -> None:
    """Write the image anew where it is nothing but zeros, as a hole; a file system without holes keeps the zeros."""
    size, offset, nothing = os.fstat(descriptor).st_size, 0, bytes(_PIECE)
    while offset < size:
        piece = os.pread(descriptor, _PIECE, offset)
        if not piece:
            return
        if piece == nothing[: len(piece)] and not _punch(descriptor, offset, len(piece)):
            return
        offset += len(piece)


def _punch(descriptor: int, offset: int, length: int) -> bool:
    """Make a hole; False where the file system has none (fallocate(2), which Python knows without its modes)."""
    made: int = _LIBC.fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_long(offset), ctypes.c_long(length))
    return made == 0


def _files(folder: Path, name: str, number: int) -> tuple[Path, Path]:
    """Return where the data and the map of a disk's changes lie."""
    plain = folder / CHANGES / name / f"{number:04}"
    return plain.with_suffix(".data"), plain.with_suffix(".map")
