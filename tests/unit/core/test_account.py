from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.runtime.account import (
    NoAccountError,
    account_for,
    choose_account,
    choose_owner,
    namespace_prefix,
    setpriv_prefix,
)


@pytest.mark.parametrize(
    ("folder_owner", "sudo_uid", "expected"),
    [
        (1000, "2000", 1000),
        (0, "2000", 2000),
        (None, "2000", 2000),
        (0, "0", 65534),
        (None, "-1", 65534),
        (None, None, 65534),
    ],
)
def test_the_data_belongs_to_its_owner_else_to_who_called_sudo_else_to_nobody(
    folder_owner: int | None, sudo_uid: str | None, expected: int
) -> None:
    assert choose_owner(folder_owner=folder_owner, sudo_uid=sudo_uid, nobody_uid=65534) == expected


def test_a_normal_user_runs_its_children_as_itself() -> None:
    account = choose_account(own_uid=1000, own_gid=100, owner=(65534, 65534), can_run=lambda _: False)
    assert (account.prefix, account.uid, account.file_uid, account.file_gid) == ((), 1000, 1000, 100)


def test_root_becomes_the_owner_where_that_reaches_everything() -> None:
    account = choose_account(own_uid=0, own_gid=0, owner=(1000, 100), can_run=lambda _: True)
    assert (account.prefix, account.file_uid, account.file_gid) == (setpriv_prefix(1000, 100), 1000, 100)


def test_where_the_owner_cannot_go_a_namespace_hides_root_and_files_stay_roots() -> None:
    account = choose_account(own_uid=0, own_gid=0, owner=(1000, 100), can_run=lambda prefix: prefix[0] == "unshare")
    assert (account.prefix, account.uid, account.file_uid) == (namespace_prefix(1000, 100), 1000, 0)


def test_when_neither_works_the_remedy_is_said() -> None:
    with pytest.raises(NoAccountError, match="normal user"):
        choose_account(own_uid=0, own_gid=0, owner=(1000, 100), can_run=lambda _: False)


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_the_chosen_prefix_runs_this_interpreter_without_being_root(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "gate" / "data"
    folder.mkdir(parents=True)
    folder.parent.chmod(mode)
    account = account_for(folder, [Path(sys.executable).resolve()])
    answer = subprocess.run(
        [*account.prefix, sys.executable, "-c", "import os; print(os.geteuid(), os.getpid())"],
        check=True, capture_output=True, text=True, cwd="/", timeout=120,
    )  # fmt: skip
    assert answer.stdout.split()[0] == str(account.uid)
    assert account.uid != 0
    if os.geteuid() != 0:
        assert account.prefix == ()
