"""Programs of which no thread wakes up any more are ended: at once when a disk of theirs is full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backup.engine.standstill import Standstill
from backup.errors import WorkFailed
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOKS = 1000


@pytest.fixture
def sleeping() -> Iterator[int]:
    """A process group that does nothing."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as child:
        try:
            stat = Path(f"/proc/{child.pid}/stat")
            wait_until(lambda: "(sleep) S" in stat.read_text(), 60, "it sleeps")
            yield child.pid
        finally:
            child.kill()


def seconds_until_ended(group: int, folder: Path) -> float:
    """Return how long it takes a watch that looks every second to want it ended, by its own clock."""
    now = [0.0]
    watch = Standstill({folder: WorkFailed}, now=lambda: now[0])
    for second in range(_LOOKS):
        now[0] = float(second)
        if watch.look(group):
            break
    return now[0]


def test_what_stands_still_is_ended_in_seconds_on_a_full_disk_and_in_minutes_elsewhere(
    sleeping: int, tmp_path: Path
) -> None:
    assert seconds_until_ended(sleeping, tmp_path) in range(600, _LOOKS - 1)
    with small_disk(tmp_path / "small", size_mib=1) as disk:
        disk.fill()
        assert seconds_until_ended(sleeping, disk.folder) < 15


def test_a_program_and_a_gpg_that_wait_for_each_other_are_ended_in_seconds(tmp_path: Path) -> None:
    waiting = (
        "import subprocess as s; child = s.Popen(['gpg', '-o', '-', '--enarmor', '/dev/zero'], stdout=s.PIPE);"
        "child.stdout.read(1); child.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", waiting], start_new_session=True) as child:
        try:
            wait_until(lambda: "do_wait" in Path(f"/proc/{child.pid}/wchan").read_text(), 60, "it waits for gpg")
            # gpg may have to write some more until it waits, too.
            wait_until(lambda: seconds_until_ended(child.pid, tmp_path) < 60, 60, "it is wanted ended in seconds")
        finally:
            os.killpg(child.pid, signal.SIGKILL)


@pytest.mark.parametrize(("state", "is_ended"), [("S", True), ("R", False)])
def test_a_gpg_that_only_waits_for_a_processor_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, *, is_ended: bool
) -> None:
    task = tmp_path / "1" / "task" / "1"
    task.mkdir(parents=True)
    counts = "voluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t1\n"
    (task / "status").write_text(f"Name:\tgpg\nState:\t{state} (so)\n{counts}")
    (task / "wchan").write_text("0")
    monkeypatch.setattr("backup.engine.standstill._PROC", tmp_path)
    monkeypatch.setattr("os.getpgid", lambda _: 1)
    assert (seconds_until_ended(1, tmp_path) < 60) is is_ended


def test_what_wakes_up_is_left_alone_whatever_the_disk_says(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "small", size_mib=1) as disk,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        disk.fill()
        now = [0.0]
        watch = Standstill({disk.folder: WorkFailed}, now=lambda: now[0])
        for _ in range(20):
            child.stdin.write(b"on\n")
            child.stdin.flush()
            assert child.stdout.readline() == b"on\n"
            assert not watch.look(child.pid)
            now[0] += 4


def test_the_words_of_one_that_ended_tell_a_full_disk_too(tmp_path: Path) -> None:
    watch = Standstill({tmp_path: WorkFailed})
    watch.demand_room("gpg: decryption failed")
    with pytest.raises(WorkFailed, match="a disk was full"):
        watch.demand_room("OSError: [Errno 28] No space left on device")
