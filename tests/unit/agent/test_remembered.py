"""What an agent knows again after a restart."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from agent.remembered import Remembered, load, save

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    remembered = Remembered(epoch=7, version=3, body={"probes": [{"probe": "cpu"}]})
    save(tmp_path / "r.json", remembered)
    assert load(tmp_path / "r.json") == remembered
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_nothing_is_remembered_at_the_first_start(tmp_path: Path) -> None:
    assert load(tmp_path / "r.json") == Remembered()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"epoch": "7", "version": 1, "body": {}}', b'{"epoch": 7, "version": 1, "body": []}'],
)
def test_a_damaged_file_is_reported_and_counts_as_none(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="watchkeep"):
        assert load(tmp_path / "r.json") == Remembered()
    assert "cannot be read" in caplog.text
