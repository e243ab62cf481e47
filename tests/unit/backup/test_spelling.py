"""Paths of any bytes are written as text that a shell and `bkp` read back as the same bytes."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import NotInBackup
from backup.restoring.wanted import read_path
from backup.spelling import for_shell, read_shown, shown

_ODD = [
    b"plain", b"a b'c", "\u00fcml".encode(), b"caf\xe9-latin1", b"line\nbreak", b"back\\slash\xff'", b"$'tricky'",
    b"$'", b"\x1b[31mred", b"-rf", b"a\\x41", b"\xe9\xe9f0", "\u200eleft".encode(),
]  # fmt: skip


@given(st.binary(max_size=40).filter(lambda each: b"\0" not in each))
def test_what_is_written_is_printable_and_read_back_as_it_was(path: bytes) -> None:
    written = shown(os.fsdecode(path))
    assert written.isprintable()
    assert written.encode().decode() == written  # no surrogates: any terminal, and JSON for anybody
    assert os.fsencode(read_shown(written)) == path


def test_a_shell_makes_the_same_bytes_of_it() -> None:
    words = " ".join(for_shell(os.fsdecode(each)) for each in _ODD)
    ended = subprocess.run(["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True, timeout=60)
    assert ended.stdout.split(b"\0")[:-1] == _ODD


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(NotInBackup, match="means nothing"):
        read_path("$'a\\q'")
