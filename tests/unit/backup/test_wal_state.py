"""How archiving a cluster's WAL stands at each target of its set."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backup.errors import TargetAway
from backup.saving.archive_notes import ArchiveNotes
from backup.settings.backup_set import SetSettings
from backup.settings.document import BackupSettings
from backup.wal.names import WalObject
from backup.wal.state import note_archived, note_failed, those_having

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
CHOSEN = SetSettings(name="cluster", target="near", also=("far",))


def segment(number: int) -> WalObject:
    return WalObject(wal=f"{1:08X}{0:08X}{number:08X}", at=NOON.replace(minute=number), digest="0" * 16)


def test_a_target_that_is_ahead_stays_so_until_all_have_what_it_has_and_is_not_asked_again_meanwhile(
    tmp_path: Path,
) -> None:
    settings = BackupSettings(host="web1", work=tmp_path, state=tmp_path)
    (tmp_path / "cluster").mkdir()
    ready = {segment(3).wal, segment(4).wal, segment(5).wal}

    def archived(**newest: WalObject) -> None:
        note_archived(settings, CHOSEN, newest, segment(3), lambda wal: wal in ready)

    assert those_having(settings, CHOSEN, segment(3)) == set()
    archived(near=segment(5))
    note_failed(settings, CHOSEN, {"far": TargetAway("gone")})
    assert those_having(settings, CHOSEN, segment(3)) == {"near"}
    assert those_having(settings, CHOSEN, replace(segment(3), digest="1" * 16)) == set()  # another one of its name
    archived(near=segment(3), far=segment(3))
    told = ArchiveNotes(settings, "cluster", "wal").read()
    assert told is not None
    assert (told["archived"], told["error"]) == (segment(3).wal, None)
    assert told["targets"]["near"]["archived"] == segment(5).wal
    ready.clear()  # PostgreSQL has come to it
    archived(near=segment(3), far=segment(3))
    told = ArchiveNotes(settings, "cluster", "wal").read()
    assert told is not None
    assert told["targets"]["near"]["archived"] == segment(3).wal
