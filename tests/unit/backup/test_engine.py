from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.cut import Cut
from backup.engine.command import Saving, Workplace, call, saving_arguments
from backup.engine.names import role_of
from backup.engine.process import Outcome, demand_sent, demand_success
from backup.engine.progress import Listener, Told
from backup.errors import (
    EngineFailed,
    KeyWrong,
    PassphraseWrong,
    TargetAway,
    TargetDiffers,
    TargetFull,
    TimedOut,
    WorkFailed,
)
from backup.model import Kind, Role
from backup.runtime.child import Program, run
from backup.saving.comparison import volume_sums
from backup.sources.files.paths import selections

if TYPE_CHECKING:
    from backup.errors import BackupError

_SAVING = Saving(
    kind=Kind.INCREMENTAL, root=Path("/"),
    recipients=("A" * 40, "B" * 40), signer="C" * 40, volume_bytes=(5 << 20) + 1, max_block_bytes=4096,
    shows_progress=False, options=("--ssh-options=-oX=y",), compression=(),
)  # fmt: skip
_PLACE = Workplace(cache=Path("/work/cache/20261121T041600Z"), temporary=Path("/work/tmp"))


def test_the_command_line_has_what_was_decided_in_order() -> None:
    arguments = saving_arguments(_SAVING, ("--include=/etc", "--exclude=**"), "file:///srv/x", _PLACE, 30)
    assert arguments[0] == "incremental"
    assert {"--encrypt-key=" + "A" * 40, "--encrypt-key=" + "B" * 40, "--sign-key=" + "C" * 40} <= set(arguments)
    assert {"--volsize=6", "--max-blocksize=4096", "--archive-dir=/work/cache", "--name=20261121T041600Z"} <= set(
        arguments
    )
    assert arguments[-5:] == ["--ssh-options=-oX=y", "--include=/etc", "--exclude=**", "/", "file:///srv/x"]
    assert "--progress" not in arguments


def test_both_passphrases_are_always_exported_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSPHRASE", "of somebody else")
    monkeypatch.setenv("LD_PRELOAD", "/evil.so")
    plain = call(["full"])
    assert (plain.environment["PASSPHRASE"], plain.environment["SIGN_PASSPHRASE"]) == ("", "")
    assert "LD_PRELOAD" not in plain.environment
    secret = call(["full"], {"SIGN_PASSPHRASE": "s3cret"}, {"SWIFT_PASSWORD": "k3y"})
    assert (secret.environment["PASSPHRASE"], secret.environment["SIGN_PASSPHRASE"]) == ("", "s3cret")
    assert not any(word in repr(secret) for word in ("s3cret", "k3y"))


def test_duplicity_loads_our_targets_and_not_the_libraries_of_others() -> None:
    code = (
        "import sys; from duplicity import backend; backend.import_backends();"
        "print(*sorted({'file', 'swift', 'sftp', 'boto3+s3'} & set(backend._backends)), 'requests' in sys.modules)"
    )
    program = Program(arguments=[sys.executable, "-c", code], environment=call([]).environment, doing="loading")
    assert run(program, time_limit_seconds=300).output.split() == ["boto3+s3", "file", "sftp", "swift", "False"]


@pytest.mark.parametrize(
    ("exit_code", "log", "kind"),
    [
        (31, "gpg: decryption failed: Bad passphrase", PassphraseWrong),
        (1, "gpg: decryption failed: No secret key", KeyWrong),
        (31, "who knows", EngineFailed),
        (21, "", TargetDiffers),
        (50, "", TargetAway),
        (35, "Temp space has 1 available, backup needs approx 2.", WorkFailed),
        (30, "OSError: [Errno 28] No space left on device", WorkFailed),
        (77, "Duplicity backup complete.", EngineFailed),
        (-9, "Duplicity backup complete.", EngineFailed),
    ],
)
def test_exit_codes_count_and_words_only_choose_a_name(exit_code: int, log: str, kind: type[BackupError]) -> None:
    with pytest.raises(kind, match=str(exit_code)):
        demand_success(Outcome(exit_code=exit_code, log=log, output="", told=Told()), "saving")


@pytest.mark.parametrize("words", ["[Errno 28] No space left on device", "PUT failed: 413 Request Entity Too Large"])
def test_a_target_that_filled_while_something_was_sent_is_full_and_not_away(words: str) -> None:
    outcome = Outcome(exit_code=50, log=words, output="", told=Told())
    with pytest.raises(TargetFull, match="make room"):
        demand_sent(outcome, "saving")
    with pytest.raises(WorkFailed):  # of what only reads there
        demand_success(outcome, "restoring")


def test_no_words_make_a_success_of_another_code_nor_a_failure_of_zero() -> None:
    demand_success(Outcome(exit_code=0, log="ERROR: all is lost", output="", told=Told()), "saving")


_LOG = b"""NOTICE 1
. Last full backup date: none

NOTICE 16 1048576 3 42 7 349525 0
. 1.0MB 00:00:03 [341.3KB/s] [=====>     ] 42% ETA 7sec

WARNING 10 'deep/locked'
. Error accessing possibly locked file deep/locked

WARNING 1
. Error Permission denied getting delta for sys/bus/x y

NOTICE 1
. --------------[ Backup Statistics ]--------------
. SourceFiles 4
. SourceFileSize 3008195 (2.87 MB)
. ElapsedTime 0.64 (0.64 seconds)

"""


@given(st.lists(st.integers(1, len(_LOG) - 1), max_size=8))
def test_records_are_understood_in_any_pieces(cuts: list[int]) -> None:
    listener = Listener()
    edges = [0, *sorted(cuts), len(_LOG)]
    found = [each for start, end in itertools.pairwise(edges) for each in listener.feed(_LOG[start:end])]
    assert [(one.stored_bytes, one.share, one.eta_seconds) for one in found] == [(1048576, 0.42, 7)]
    assert (listener.told.unreadable, listener.told.unreadable_names) == (2, ["deep/locked", "sys/bus/x y"])
    assert listener.told.statistics == {"SourceFiles": 4, "SourceFileSize": 3008195}


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_break_the_listener(pieces: list[bytes]) -> None:
    listener = Listener()
    for piece in pieces:
        listener.feed(piece + b"\n")


def test_what_is_kept_of_a_log_is_bounded() -> None:
    listener = Listener()
    for _ in range(100):
        listener.feed(b". x\nWARNING 10 'name'\n" * 1000)
    listener.feed(b"y" * (1 << 20))
    told = listener.told
    assert (told.unreadable, len(told.unreadable_names), len(told.words)) == (100_000, 20, 200)


def test_sums_are_read_from_duplicitys_manifest() -> None:
    text = (
        b"Hostname x\nVolume 1:\n    StartingPath   .  \n    Hash SHA1 " + b"a" * 40 + b"\nVolume 12:\n    Hash SHA1 "
    )
    assert volume_sums(text + b"b" * 40 + b"\nFilelist 0\n") == {1: "a" * 40, 12: "b" * 40}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("duplicity-full.20261121T043130Z.vol1.difftar.gpg", Role.VOLUME),
        ("duplicity-inc.20261121T043130Z.to.20261121T053130Z.manifest.gpg", Role.MANIFEST),
        ("duplicity-new-signatures.20261121T043130Z.to.20261121T053130Z.sigtar.gpg", Role.SIGNATURES),
        ("something.gpg", None),
        ("duplicity-full.20261121T043130Z.vol1.difftar", None),
    ],
)
def test_a_file_is_known_by_its_name(name: str, role: Role | None) -> None:
    assert role_of(name) is role


def test_a_selection_leaves_out_first_then_takes_the_roots_and_nothing_else() -> None:
    names, patterns = ["/etc", "/srv/a [b]*"], ["**/.cache", "/etc/x"]
    first = (r"--exclude-regexp=^(?:/etc/disk)(?:/|\Z)", "--exclude=**/.cache", "--exclude=/etc/x")
    roots = ("--include=/etc", "--include=/srv/a [[]b][*]", "--exclude=**")
    assert selections(Path("/"), names, Cut(), patterns, ["/etc/disk"]) == ((*first, *roots),)
    assert selections(Path("/"), names, Cut(), patterns) == ((*first[1:], *roots),)
    cut = Cut(asked=2, listed=(("/etc/?",),))
    assert selections(Path("/"), names, cut, patterns, ["/etc/disk"]) == (
        (*first, r"--exclude-regexp=^(?:/etc/\?)(?:/|\Z)", *roots),
        (*first, r"--include-regexp=^(?:/etc/\?)(?:/|\Z)|^(?:/|/etc)\Z", "--exclude=**"),
    )


def test_a_selection_of_what_is_seen_below_a_folder_leaves_out_nothing_for_that_folder_s_own_name() -> None:
    cut = Cut(asked=2, listed=(("/etc/y",),))
    assert selections(Path("/w*/view"), ["/", "/etc"], cut, ["**/view", "/etc/x"], ["/proc"])[0] == (
        r"--exclude-regexp=^(?:/w\*/view/proc)(?:/|\Z)", "--exclude=/w[*]/view**/view", "--exclude=/w[*]/view/etc/x",
        r"--exclude-regexp=^(?:/w\*/view/etc/y)(?:/|\Z)", "--include=/w[*]/view", "--include=/w[*]/view/etc",
        "--exclude=**",
    )  # fmt: skip


def test_a_program_that_takes_too_long_is_ended_with_all_it_started() -> None:
    sleep = "import time; time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleep!r}])"
    program = Program(arguments=[sys.executable, "-c", code], environment={}, doing="waiting")
    with pytest.raises(TimedOut, match="waiting"):
        run(program, time_limit_seconds=0.5)


def test_output_beyond_the_limit_is_cut_and_said_to_be() -> None:
    program = Program(arguments=[sys.executable, "-c", "print('x' * 100000)"], environment={}, doing="printing")
    ended = run(program, time_limit_seconds=60, output_limit_bytes=1000)
    assert (len(ended.output), ended.output_was_cut, ended.exit_code) == (1000, True, 0)
