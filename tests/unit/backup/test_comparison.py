"""What is read back is also what the target says it is, of files that were sent in parts, too."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from backup.errors import TargetDiffers
from backup.saving.comparison import Known, compare
from backup.settings.target import TargetSettings
from backup.targets.contract import Stat
from backup.targets.etag import EtagSum
from backup.targets.folder import FolderTarget

if TYPE_CHECKING:
    from pathlib import Path

_PART = 3 << 19
_RUN = "duplicity-full.20261121T041600Z"
_LISTS = {f"{_RUN}.manifest.gpg": b"m", "duplicity-full-signatures.20261121T041600Z.sigtar.gpg": b"s"}


class _Telling(FolderTarget):
    """A folder that tells sums of parts as S3 does: of the bytes it was told to speak of, whatever lies there."""

    told = b""

    def stat(self, name: str) -> Stat:
        found = super().stat(name)
        if ".vol" not in name:
            return found
        parts = [self.told[first : first + _PART] for first in range(0, len(self.told), _PART)]
        digests = b"".join(hashlib.md5(part).digest() for part in parts)  # noqa: S324 - S3's own
        md5 = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"  # noqa: S324 - as above
        return Stat(size_bytes=found.size_bytes, md5=md5, part_bytes=_PART)


@pytest.mark.parametrize("size", [1, _PART - 1, _PART, _PART + 1, 3 * _PART, (4 << 20) + 7])
def test_a_file_sent_in_parts_has_the_sum_its_target_tells_or_the_run_fails(tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251) + bytes(size % 251)
    target = _Telling(TargetSettings(name="store", kind="folder", folder=tmp_path))
    files = {**_LISTS, f"{_RUN}.vol1.difftar.gpg": content}
    for name, each in files.items():
        target.write(f"chain/{name}", each)
    names = {name: len(each) for name, each in files.items()}
    sums = {1: hashlib.sha1(content).hexdigest()}  # noqa: S324 - duplicity's own
    target.told = content
    assert len(compare(target, "chain", names, sums)) == 3
    target.told = content[:-1] + b"\xff"
    with pytest.raises(TargetDiffers, match=r"vol1.*the target says MD5 [0-9a-f]{32}-\d, what it sends has"):
        compare(target, "chain", names, sums)


def test_a_sum_of_one_piece_is_plain_md5() -> None:
    total = EtagSum(None)
    for piece in (b"a", b"", b"bc"):
        total.update(piece)
    assert total.text() == hashlib.md5(b"abc").hexdigest()  # noqa: S324 - as targets tell it


def test_a_list_that_was_not_encrypted_here_fails_the_run_and_volumes_go_by_duplicitys_sums(tmp_path: Path) -> None:
    target = FolderTarget(TargetSettings(name="store", kind="folder", folder=tmp_path))
    files = {**_LISTS, f"{_RUN}.vol1.difftar.gpg": b"v"}
    for name, each in files.items():
        target.write(f"chain/{name}", each)
    names = {name: len(each) for name, each in files.items()}
    sums = {1: hashlib.sha1(b"v").hexdigest()}  # noqa: S324 - duplicity's own
    lists = {name: hashlib.sha256(each).hexdigest() for name, each in _LISTS.items()}
    assert len(compare(target, "chain", names, sums, known=Known(sealed=frozenset(lists.values())))) == 3
    for missing in lists:
        others = frozenset(digest for name, digest in lists.items() if name != missing)
        with pytest.raises(TargetDiffers, match=f"{missing} is not what was encrypted here"):
            compare(target, "chain", names, sums, known=Known(sealed=others))
    with pytest.raises(TargetDiffers, match=r"vol1.*sent with SHA-1"):
        compare(target, "chain", names, {1: "0" * 40}, known=Known(sealed=frozenset(lists.values())))
