"""R4: a disk that is full, limited or failing."""

import errno
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.runtime.clock import ManualClock
from core.spool.spool import Spool, SpoolFault, SpoolLimits
from tests.support.records import BOOT, SOURCE, everything_in, numbers_in, record, records

pytestmark = pytest.mark.trial("R4")
LIMITS = SpoolLimits()


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.glob("*.segment*")}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    privileged = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mount = [*privileged, "mount", "-t", "tmpfs", "-o", "size=256k,mode=0777", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, timeout=60)
    yield folder
    subprocess.run([*privileged, "umount", str(folder)], check=True, timeout=60)


def test_on_a_full_disk_nothing_is_torn_and_appending_goes_on_when_there_is_room(tiny_disk: Path) -> None:
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(100 * 1024))
    folder = tiny_disk / "spool"
    spool = Spool.open(folder, LIMITS)
    appended: list[int] = []

    def fill() -> None:
        for batch in range(1, 1000):
            numbers = range(batch * 10, batch * 10 + 10)
            spool.append(records(numbers, values=40))
            appended.extend(numbers)

    with pytest.raises(SpoolFault, match=rf"{folder}.*No space left.*free space") as caught:
        fill()
    assert isinstance(caught.value.__cause__, OSError)
    assert numbers_in(everything_in(spool)) == appended
    assert len(next(folder.glob("*.segment")).read_bytes()) == spool.held_bytes
    for _ in range(3):
        with pytest.raises(SpoolFault):
            spool.append(records(range(1, 200), values=40))
    ballast.unlink()
    spool.append(records([7_000_000, 7_000_001], values=40))
    spool.close()
    again = Spool.open(folder, LIMITS)
    assert numbers_in(everything_in(again)) == [*appended, 7_000_000, 7_000_001]
    assert again.damages == []
    again.close()


def test_a_spool_opens_and_gives_what_it_holds_while_the_disk_is_full(tiny_disk: Path) -> None:
    folder = tiny_disk / "spool"
    spool = Spool.open(folder, LIMITS)
    spool.append(records(range(1, 11)))
    spool.close()
    with pytest.raises(OSError, match="No space"):
        (tiny_disk / "ballast").write_bytes(bytes(300 * 1024))
    again = Spool.open(folder, LIMITS)
    assert numbers_in(everything_in(again)) == list(range(1, 11))
    with pytest.raises(SpoolFault):
        again.append(record(11))
    again.mark_stored(SOURCE.bytes, BOOT, [(1, 10)])
    again.append(record(11))
    assert numbers_in(everything_in(again)) == [11]
    again.close()


def test_a_file_size_limit_cuts_the_short_write_back(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, LIMITS)
    spool.append(records(range(1, 11)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (spool.held_bytes + 150, before[1]))
        with pytest.raises(SpoolFault, match="ulimit"):
            spool.append(records(range(11, 21)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert next(tmp_path.glob("*.segment")).stat().st_size == spool.held_bytes
    spool.append(records(range(11, 21)))
    assert numbers_in(everything_in(spool)) == list(range(1, 21))
    spool.close()


async def test_after_a_failed_fsync_the_files_are_written_anew_before_anything_counts_as_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    spool = Spool.open(tmp_path, LIMITS, clock.monotonic)
    spool.append(records(range(1, 11)))
    before = inodes(tmp_path)

    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(SpoolFault, match="the disk fails"):
            await spool.sync()
        spool.append(record(11))
        with pytest.raises(SpoolFault):
            await spool.sync()
        assert spool.oldest_unsynced_at
    spool.append(record(12))
    assert await spool.sync() == spool.end
    assert not inodes(tmp_path) & before, "the file whose pages may be lost was not written anew"
    assert not spool.oldest_unsynced_at
    assert numbers_in(everything_in(spool)) == list(range(1, 13))
    spool.mark_stored(SOURCE.bytes, BOOT, [(1, 12)])
    spool.close()
    assert not inodes(tmp_path)


async def test_a_file_deleted_under_the_spool_is_not_called_durable_but_written_again(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, LIMITS)
    spool.append(records(range(1, 11)))
    (tmp_path / "0000000000000001.segment").unlink()
    with pytest.raises(SpoolFault, match="somebody deleted"):
        await spool.sync()
    assert await spool.sync() == spool.end
    spool.close()
    again = Spool.open(tmp_path, LIMITS)
    assert numbers_in(everything_in(again)) == list(range(1, 11))
    again.close()
