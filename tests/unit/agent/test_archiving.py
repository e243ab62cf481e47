"""The agent archives the binary logs of each set that says so, every so long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.backups import archiving
from core.runtime.clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_CONFIG = """host = "web1"
[[targets]]
name = "store"
kind = "folder"
folder = "store"
[[sets]]
name = "shop"
target = "store"
mariadb.database = "shop"
mariadb.binary_logs = "5m"
[[sets]]
name = "whole"
target = "store"
mariadb_base.binary_logs = "20m"
[[sets]]
name = "wiki"
target = "store"
mysql.database = "wiki"
"""


async def test_each_set_is_archived_every_so_long_and_one_that_is_under_way_not_beside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "backup.toml").write_text(_CONFIG)
    clock = ManualClock(1_796_000_000_000_000)
    done: list[str] = []
    hanging = asyncio.Event()

    async def run_child(command: list[str], limit_seconds: float) -> tuple[int, str]:
        assert limit_seconds > 43_200
        done.append(command[command.index("archive") + 1])
        if done.count("shop") == 3:
            await hanging.wait()
        return 0, ""

    monkeypatch.setattr(archiving, "run_child", run_child)
    keeper = asyncio.create_task(archiving.ArchiveKeeper(tmp_path / "backup.toml", clock).run())
    counts = []
    try:
        for seconds in (0, 299, 1, 300, 600):
            await clock.advance(seconds)
            counts.append((done.count("shop"), done.count("whole")))
        hanging.set()
        await clock.advance(60)
        counts.append((done.count("shop"), done.count("whole")))
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
    assert counts == [(1, 1), (1, 1), (2, 1), (3, 1), (3, 2), (4, 2)]
    assert "wiki" not in done
