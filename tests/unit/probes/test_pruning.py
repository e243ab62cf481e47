"""What the probe `pruning` makes of the state a prune leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from probes.pruning import Parameters, read_pruning
from probes.visit import Visit
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from pathlib import Path


def test_the_last_prune_is_told_with_its_age(tmp_path: Path) -> None:
    reader = Reader(read_pruning, visit=Visit(folder=tmp_path))
    assert reader.read() == {}
    at = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    state = {"written_at": at, "exit_code": 20, "chains_deleted": 3, "freed_bytes": 4096, "chains_staying": 7}
    (tmp_path / "prune.json").write_text(json.dumps({**state, "error": "the target is away"}))
    assert reader.read() == {
        "pruning.age_seconds": pytest.approx(7200, abs=60),
        "pruning.exit_code": 20.0,
        "pruning.chains_deleted": 3.0,
        "pruning.freed_bytes": 4096.0,
        "pruning.chains_staying": 7.0,
        "pruning.error": "the target is away",
    }


@pytest.mark.parametrize("text", [None, "{", "[]", '{"written_at": "yesterday"}'])
def test_a_state_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "prune.json").write_text(text)
    reader = Reader(read_pruning, parameters=Parameters(folder=tmp_path))
    reader.read()
    assert "prune.json" in reader.failures[0]
