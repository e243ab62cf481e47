"""The step by which `watchkeep up` prunes, with the real command."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.support.waiting import until
from watchkeep.up import pruning

if TYPE_CHECKING:
    import pytest

    from tests.support.backups import Site


async def test_what_is_due_is_pruned_as_a_process_of_its_own(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(site.add_pruner, "retention.keep_daily = 7")
    monkeypatch.setattr(pruning, "SETTLING", timedelta())
    task = asyncio.create_task(pruning.keep_pruned(site.file("pruner"), (), site.folder / "pruner.log"))
    try:
        state = site.folder / "pruner/state/prune.json"
        await until(lambda: state.exists() or task.done(), 240, "the state of a prune")
        told = json.loads(state.read_text())
        assert (told["exit_code"], told["sets"]) == (0, 0)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])
