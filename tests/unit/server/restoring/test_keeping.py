"""A restoration takes no more room than it may, and is gone after its time whether or not anybody asks (S-8)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backup.restoring.placing import draft_for
from core.runtime.clock import ManualClock, SystemClock
from server.restoring import station as module
from server.restoring.program import Answered, BackupProgram
from server.restoring.station import RestoreStation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from core.runtime.clock import Clock
    from server.restoring.station import Restoration

pytestmark = pytest.mark.trial("S-8")
_PIECE = bytes(1 << 20)


class _Bkp(BackupProgram):
    """Restores as `bkp` does, a draft beside the place first; `is_endless` writes on until it is ended."""

    is_endless = False

    async def call(self, command: str, options: Sequence[str], *words: str, limit_seconds: float) -> Answered:
        del command, words, limit_seconds
        to = next(Path(option.removeprefix("--to=")) for option in options if option.startswith("--to="))
        with draft_for(to) as draft:
            (draft / "restored").write_bytes(_PIECE * 3)
            if self.is_endless:
                await asyncio.Event().wait()
            to.mkdir(exist_ok=True)
            (draft / "restored").rename(to / "file")
        return Answered(exit_code=0, document={"to": str(to / "file")}, error="")


@asynccontextmanager
async def opened(
    folder: Path, *, is_endless: bool = False, clock: Clock | None = None
) -> AsyncIterator[RestoreStation]:
    station = RestoreStation(folder / "none.toml", folder / "scratch", clock or SystemClock())
    station.program = program = _Bkp(folder / "none.toml")
    program.is_endless = is_endless
    try:
        yield station
    finally:
        await station.close()


def begin(station: RestoreStation) -> Restoration:
    return station.begin(host="web1", set_name="files", path="file", at="2026-01-01T00:00:00Z", user="anna")


@pytest.mark.parametrize("is_endless", [True, False])
async def test_what_outgrows_its_room_is_ended_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_endless: bool
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2 << 20)
    async with opened(tmp_path, is_endless=is_endless) as station:
        made = begin(station)
        await until(lambda: made.state != "running")
        assert (made.state, made.file) == ("failed", None)
        assert "larger" in (made.error or "")
        await until(lambda: not any((tmp_path / "scratch").iterdir()))


async def test_what_nobody_asks_for_is_thrown_away_after_its_time(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock=clock) as station:
        made = begin(station)
        await until(lambda: made.state == "done" and clock.sleepers == 1)
        await clock.advance(module.KEPT_SECONDS - 1)
        assert made.file is not None
        assert made.file.exists()
        await clock.advance(1)
        await until(lambda: not any((tmp_path / "scratch").iterdir()))
        assert station.find(made.id) is None
