"""The archived WAL of one cluster at a target: listed, put and fetched, each file sealed and compared."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backup.errors import BackupDamaged, ObjectMissing, SignatureBad, SourceFailed
from backup.saving.sealed_files import get_sealed, is_as_sealed, put_sealed
from backup.wal.names import HISTORIES, WalObject, folder_of, number_of, read_head, read_object_name, timeline_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backup.keys.key import Key
    from backup.keys.ring import KeyRing
    from backup.model import Place
    from backup.saving.sealed_files import Seal
    from backup.targets.contract import Target

MOST_BYTES: Final = 64 << 20  # a segment; larger ones would have to be streamed through gpg


class WalArchive:
    """The WAL of the cluster with this system identifier. Raises what target and keys raise."""

    def __init__(self, target: Target, place: Place, ring: KeyRing, system_identifier: int) -> None:
        self._target, self._place, self._ring = target, place, ring
        self.system_identifier = system_identifier
        self._root = f"{place.wal}/{system_identifier}"

    def objects(self, first: str = "") -> list[WalObject]:
        """Return every file, by name and then by time; of segments none in folders before that of segment `first`.

        Takes a request a folder, which has 256 segments of 16 MiB. Files that are none of ours are left out.
        """
        found: list[WalObject] = []
        for folder in self._target.folders(self._root):
            if folder == HISTORIES or folder[8:] >= first[8:16]:  # the first eight digits are the timeline
                found += self._listed(folder)
        return sorted(found, key=lambda each: (each.wal, each.at))

    def find(self, wal: str) -> list[WalObject]:
        """Return the files of this name; more than one only where one was not whole and was put again."""
        return [each for each in self._listed(folder_of(wal)) if each.wal == wal]

    def path(self, each: WalObject) -> str:
        """Return where a file lies at the target."""
        return f"{self._root}/{each.folder}/{each.name}"

    def put(self, wal: str, content: bytes, written_at: datetime, signer: Key, recipients: Sequence[Key]) -> WalObject:
        """Archive a file: sealed, written, read back. One that is there with the same content is left as it is.

        One that is not what its name says is left too, and the file put beside it.

        Raises SourceFailed when another content of that name is there: two clusters must not share an archive.
        """
        digest = digest_of(content)
        known = self.find(wal)
        same = [each for each in known if each.digest == digest]
        for each in same:
            if each.seal is None or is_as_sealed(self._target, self.path(each), each.seal):
                return each
        if len(same) < len(known):
            raise SourceFailed(
                f"the archive has another {wal}: does a copy of this cluster archive to the same set? Set its"
                " archive_mode to off, or give it a set of its own"
            )
        fresh = WalObject(wal=wal, at=written_at, digest=digest)

        def path(seal: Seal) -> str:
            return self.path(replace(fresh, seal=seal))

        seal = put_sealed(self._target, self._ring, path, content, signer, recipients)
        return replace(fresh, seal=seal)

    def get(self, wal: str) -> bytes:
        """Return a file's content. Raises ObjectMissing, KeyWrong, SignatureBad, BackupDamaged naming what is wrong."""
        found = self.find(wal)
        if not found:
            raise ObjectMissing(f"{wal} is not in the archive {self._root}")
        return self.fetch(found[-1])

    def fetch(self, each: WalObject) -> bytes:
        """Return the content of a file that was listed, its signature, digest and head having been compared.

        Where it is damaged and was put again, that one's.
        """
        try:
            return self._open(each)
        except (BackupDamaged, ObjectMissing, SignatureBad):
            for other in self.find(each.wal):
                if other != each and other.digest == each.digest:
                    return self._open(other)
            raise

    def _open(self, each: WalObject) -> bytes:
        name = self.path(each)
        content = get_sealed(self._target, self._ring, self._place.host, name, MOST_BYTES + 1)
        if digest_of(content) != each.digest or not fits(each.wal, content, self.system_identifier):
            raise BackupDamaged(f"{name} holds another file than its name says")
        return content

    def _listed(self, folder: str) -> list[WalObject]:
        there = self._target.files(f"{self._root}/{folder}")
        return [each for name, size in there.items() if (each := read_object_name(name, size)) is not None]


def digest_of(content: bytes) -> str:
    """Return the part of a content's SHA-256 that its name at the target has."""
    return hashlib.sha256(content).hexdigest()[:16]


def fits(wal: str, content: bytes, system_identifier: int) -> bool:
    """Whether the head of a segment agrees with its name and cluster; other files have no head."""
    if len(wal) != 24:
        return True
    head = read_head(content)
    return (
        head is not None
        and head.segment_bytes == len(content)
        and head.system_identifier == system_identifier
        and head.timeline <= timeline_of(wal)
        and head.address == number_of(wal, head.segment_bytes) * head.segment_bytes
    )
