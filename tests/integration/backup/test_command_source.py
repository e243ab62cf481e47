"""What a program writes is saved and comes back byte by byte; one that fails, hangs or says nothing is no backup."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from backup.errors import SourceFailed, TimedOut
from backup.model import Kind
from backup.settings.source import CommandSettings
from backup.sources.command import CommandSource
from core.config.reader import ByteSize
from tests.support.backups import new_site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.backups import Pairs

_WRITE = "import sys; data = open(sys.argv[1], 'rb').read(); sys.stdout.buffer.write(data)"


def test_what_a_program_writes_comes_back_byte_by_byte_and_a_change_is_a_small_increment(pairs: Pairs) -> None:
    with new_site(pairs, source="placeholder") as site:
        said = site.folder / "said"
        content = bytearray(b"$(touch /x); `id`\n" * 100_000 + bytes(3 << 20) + b"\xff\x00end" + bytes(300_000))
        said.write_bytes(content)
        arguments = json.dumps([sys.executable, "-c", _WRITE, str(said)])
        file = site.file("host")
        file.write_text(
            file.read_text().replace("placeholder", f'command.arguments = {arguments}\ncommand.file_name = "dump.bin"')
        )
        full = site.run()
        content[1_000_000:1_000_003] = b"new"
        said.write_bytes(content)
        incremental = site.run()
        assert (full.kind, incremental.kind) == (Kind.FULL, Kind.INCREMENTAL)
        assert str(said) not in json.dumps(site.manifest())  # manifests are no secret, arguments may be
        done = site.bkp("station", "restore", "files", "--to", str(site.folder / "back"))
        assert done.returncode == 0, done.stderr
        assert (site.folder / "back" / "dump.bin").read_bytes() == content
        drilled = site.bkp("station", "drill", "files", "--json")
        assert drilled.returncode == 0, drilled.stdout + drilled.stderr
        assert '"what": "outputs digested", "looked_at": 1, "differing": 0' in drilled.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("/bin/sh", "-c", "echo half; echo the disk is gone >&2; exit 3"), "exit code 3: the disk is gone"),
        (("/bin/sh", "-c", "echo half; kill -9 $$"), "exit code -9"),
        (("/bin/true",), "wrote nothing"),
        (("/nowhere/to/be/found",), "no program"),
        (("/bin/sh", "-c", "head -c 2000000 /dev/zero"), "more than 1000000 bytes"),
    ],
)
def test_a_program_that_does_not_end_well_is_no_backup(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    settings = CommandSettings(arguments=arguments, largest=ByteSize(1_000_000))
    with pytest.raises(SourceFailed, match=words), CommandSource(settings, 300).prepare(tmp_path):
        pass


def test_a_program_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    settings = CommandSettings(arguments=("/bin/sh", "-c", "echo half; sleep 600 & sleep 600"))
    with pytest.raises(TimedOut, match="time limit"), CommandSource(settings, 0.5).prepare(tmp_path):
        pass
    assert time.monotonic() - began < 60


def test_long_runs_of_zeros_take_no_room_while_they_wait_to_be_saved(tmp_path: Path) -> None:
    settings = CommandSettings(arguments=("/bin/sh", "-c", "head -c 20000000 /dev/zero; echo end"))
    with CommandSource(settings, 300).prepare(tmp_path) as prepared:
        status = (tmp_path / "output").stat()
        assert status.st_size == prepared.consistency["bytes"] == 20_000_004
        assert status.st_blocks * 512 < 2_000_000
