"""The agent's keeper of schedules under a limit, as the probe reads it: how long a set waits, and for which run."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from agent.backups.places import Limit
from agent.backups.runner import BackupKeeper
from agent.backups.told import BackupTold
from backup.command.__main__ import cli
from backup.saving.journal import Journal
from backup.schedule import spread_of
from core.runtime.clock import ManualClock
from probes.backup import RUNS_FILE

if TYPE_CHECKING:
    from pathlib import Path

OTHER_SET = """[[sets]]
name = "other"
target = "store"
schedule = "never"
[sets.paths]
roots = ["/usr"]
"""
HOUR = timedelta(hours=1)
STARTED = datetime(2026, 11, 30, 2, 40, tzinfo=UTC)
LIMIT = Limit(name="store", targets=frozenset(), wait_at_most=6 * HOUR)


def settings(folder: Path) -> Path:
    file = folder / "backup.toml"
    file.write_text(
        'host = "web1"\n[[targets]]\nname = "store"\nkind = "folder"\nfolder = "store"\n[[sets]]\nname = "files"\n'
        'target = "store"\nschedule = "hourly"\n[sets.paths]\nroots = ["/etc"]\n'
    )
    return file


async def claims(folder: Path, file: Path, *hours: float) -> list[dict[str, Any]]:
    """Return the claim of the set after each of these hours of the agent; `bkp status` has it, too."""
    clock = ManualClock(round(STARTED.timestamp() * 1e6))
    keeper = BackupKeeper(file, folder, clock)
    keeper.hear(BackupTold(limits=(LIMIT,)))
    running = asyncio.create_task(keeper.run())
    found, passed = [], 0.0
    try:
        for each in hours:
            await clock.advance(3600 * (each - passed))
            passed = each
            found.append(json.loads((folder / RUNS_FILE).read_text())["claims"].get("files"))
            status = CliRunner().invoke(cli, ["status", "--json", "--config", str(file)]).stdout
            assert json.loads(status)["sets"][0]["waits"] == found[-1]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return found


async def test_a_set_whose_next_run_becomes_due_while_it_waits_goes_on_waiting(tmp_path: Path) -> None:
    """Otherwise one that is due every hour would begin to wait anew every hour, and never begin without its place."""
    spread = spread_of("web1/files", HOUR)
    assert spread > timedelta(seconds=30)  # the keeper looks as often
    first, at_three, later = await claims(tmp_path, settings(tmp_path), 0.25, 0.34, 0.5)
    assert first["due_at"] == datetime(2026, 11, 30, 2, tzinfo=UTC).isoformat()
    assert at_three == first  # the next one is due, and waits its turn of the schedule first
    assert later == first | {"due_at": datetime(2026, 11, 30, 3, tzinfo=UTC).isoformat()}
    assert datetime.fromisoformat(first["begins_at"]) < STARTED + 6.1 * HOUR


async def test_a_run_begun_by_hand_takes_the_room_of_its_host_until_it_ends(tmp_path: Path) -> None:
    """The set is due and claims no place, though the limit may have one: another set is saved beside it already."""
    file = settings(tmp_path)
    file.write_text(file.read_text() + OTHER_SET)
    (claim,) = await claims(tmp_path, file, 0.25)
    assert claim is not None
    with Journal(tmp_path / "work", "other").locked():
        (nothing,) = await claims(tmp_path, file, 0.25)
        assert not nothing
        assert list(json.loads((tmp_path / RUNS_FILE).read_text())["waiting"]) == ["files"]
        said = CliRunner().invoke(cli, ["run", "files", "--config", str(file)]).stderr
        assert "bkp: being saved here as well: other; at_once = 1" in said
