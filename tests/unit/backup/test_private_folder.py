"""What a killed bkp left in the folder for temporary files, the next one clears; what a live one has there stays."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backup.command.key.paper import _folder_for_trying
from backup.proof.socket_folder import socket_folder
from backup.runtime import private_folder
from backup.runtime.clearing import clear
from backup.runtime.private_folder import clear_left_over, temporary_file
from core.runtime.account import account_for
from tests.support.backups import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

_DYING = """
import os, signal, sys
from pathlib import Path
from tests.unit.backup.test_private_folder import held
with held(sys.argv[1], Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def held(kind: str, folder: Path):  # type: ignore[no-untyped-def] # one of several context managers
    tempfile.tempdir = str(folder)
    if kind == "login":
        return temporary_file("a password")
    if kind == "sheet":
        return _folder_for_trying(folder.with_name("passphrase"))
    return socket_folder(account_for(folder, []))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files with a path short enough for gpg's sockets."""
    with tempfile.TemporaryDirectory(prefix="wk-left-") as name:
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(name)


@pytest.mark.parametrize("kind", ["login", "sheet", "drill"])
def test_a_folder_stays_while_its_bkp_lives_and_goes_with_the_next_one_when_that_was_killed(
    kind: str, folder: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _DYING, kind, folder], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        (left,) = folder.iterdir()
        with held(kind, folder):
            assert len(list(folder.iterdir())) == 2
        other.communicate()
    assert list(folder.iterdir()) == [left]
    with held(kind, folder):
        assert not left.exists()
    assert not list(folder.iterdir())


def test_what_others_make_or_clear_at_that_moment_is_not_told_as_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    young, going = tmp_path / "bkp-a-young", tmp_path / "bkp-a-going"
    for folder in (young, going):
        folder.mkdir()
    (going / ".lock").touch()
    locking = fcntl.flock

    def after_it_went(lock: int, how: int) -> None:
        shutil.rmtree(going)
        locking(lock, how)

    monkeypatch.setattr(fcntl, "flock", after_it_went)
    clear_left_over(tmp_path, "bkp-a-")
    assert not caplog.text
    assert young.exists()


def test_the_lock_of_a_folder_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cleared: list[tuple[str, bool]] = []

    def clearing(path: Path) -> None:
        cleared.append((path.name, (made / ".lock").exists()))
        clear(path)

    with private_folder.private_folder(tmp_path, "bkp-a-") as made:
        (made / "restored").mkdir(mode=0)
        monkeypatch.setattr(private_folder, "clear", clearing)
    assert cleared == [("restored", True), (made.name, True)]
    assert not made.exists()
