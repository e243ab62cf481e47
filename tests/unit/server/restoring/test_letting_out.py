"""What leaves the restore station is one plain file under a harmless name (S-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.api.restorations import disposition
from server.restoring.station import NotAFileError, confine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.trial("S-8")


@pytest.mark.parametrize(
    "name", ['a"b', "a\r\nSet-Cookie: x=1", "..", "a;b", "/etc/passwd", "ünïcode", "not utf-8 \udcff", "", "\x00"]
)
def test_no_name_can_end_the_header_or_become_a_path(name: str) -> None:
    header = disposition(name)
    quoted = header.split('"')
    assert len(quoted) == 3
    assert quoted[1]
    assert all(letter.isascii() and (letter.isalnum() or letter in "._- ") for letter in quoted[1])
    assert not quoted[1].startswith(".")
    assert header.isascii()
    assert header.isprintable()
    assert header.rpartition("''")[2].count("/") == 0


def test_only_a_plain_file_directly_in_its_own_folder_is_handed_out(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "file").write_text("content")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "sub").mkdir()
    (tmp_path / "outside").write_text("secret")
    assert confine(folder, str(folder / "file")) == (folder / "file", 7)
    for found, reason in (
        (folder / "link", "link"),
        (folder / "sub", "folder"),
        (tmp_path / "outside", "another place"),
        (folder / ".." / "outside", "another place"),
        (folder / "..", "another place"),
    ):
        with pytest.raises(NotAFileError, match=reason):
            confine(folder, str(found))
