"""What `bkp list` says of damage that was noted at a target."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from backup.model import Place
from backup.notes.damage import write_damage
from backup.restoring.points_damage import known_damage
from backup.settings.target import TargetSettings
from backup.targets.folder import FolderTarget

if TYPE_CHECKING:
    from pathlib import Path

_CHAIN = "20261130T020000Z"


@pytest.mark.parametrize(("hours", "is_said"), [(1, True), (-1, False)])
def test_of_noted_damage_it_is_said_that_a_later_verification_found_all_as_it_was_sent(
    tmp_path: Path, hours: int, *, is_said: bool
) -> None:
    place = Place(host="web1", set="files")
    (tmp_path / "store").mkdir()
    target = FolderTarget(TargetSettings(name="store", kind="folder", folder=tmp_path / "store"))
    write_damage(target, place, _CHAIN, ["a volume is damaged"], by="station")
    read_at = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    book = tmp_path / "state" / "verifications" / "web1" / "files.json"
    book.parent.mkdir(parents=True)
    copies = {"store": {"whole": {"stored": read_at, "read": read_at}}}
    book.write_text(json.dumps({"form": "watchkeep-verification-state-1", "copies": copies}))
    station: Any = SimpleNamespace(
        settings=SimpleNamespace(state=tmp_path / "state"),
        place=place,
        target=target,
        chosen=SimpleNamespace(target="store"),
    )
    point: Any = SimpleNamespace(at=datetime.now(UTC), manifest=SimpleNamespace(chain=_CHAIN, name="point"))
    (found,) = known_damage(station, [point]).values()
    assert "a volume is damaged" in found.words
    assert ("was read here as it was sent" in found.words) is is_said
