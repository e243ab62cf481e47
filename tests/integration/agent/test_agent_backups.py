"""A real agent keeps its host's backups: due, run, told as items; ended in order with it; with no server at all."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.agent.process import SOURCE, agent_process, make_keys_of, write_settings
from tests.support.backup_site import backup_site, bkp_ok
from tests.support.collecting import Desk, collecting
from tests.support.processes import family
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backup_site import BackupSite

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def site() -> Iterator[BackupSite]:
    """A host whose set `often` is due all the time."""
    with backup_site() as made:
        made.add_folder_target()
        (made.folder / "data").mkdir()
        (made.folder / "data" / "file").write_text("content")
        made.add_paths_set("often", "store", [made.folder / "data"], schedule="every 2s")
        made.write()
        yield made


def with_backups(folder: Path, site: BackupSite, port: int = 9, key: bytes = bytes(32)) -> Path:
    """Write an agent's settings that name the site's backup.toml; nobody listens at port 9."""
    file = write_settings(folder, port, key)
    upstreams = file.read_text().index("[[upstreams]]")
    text = file.read_text()
    file.write_text(f'{text[:upstreams]}backup = "{site.host}"\n{text[upstreams:]}')
    return file


def state_of(site: BackupSite, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = site.state(name)
    except FileNotFoundError:
        return {}
    return found


async def test_a_set_is_saved_when_it_is_due_without_a_server_and_told_once_there_is_one(
    site: BackupSite, tmp_path: Path
) -> None:
    keys = make_keys_of(tmp_path)
    async with agent_process(with_backups(tmp_path, site)) as agent:
        await until(lambda: state_of(site, "often").get("last_good") is not None, 120, "a backup")
        assert await agent.end() == 0
    assert "A backup starts" in agent.log
    desk = Desk()
    desk.document = {"probes": [{"probe": "backup", "interval_seconds": 60.0}]}
    async with (
        collecting(desk, source=SOURCE, agent=keys) as (collector, server),
        agent_process(with_backups(tmp_path, site, collector.control_port, server.public)) as agent,
    ):
        await until(lambda: desk.items().get("backup.size_bytes[often]", 0) > 1, 120, "what the next run saved")
        assert await agent.end() == 0
    assert desk.texts("backup.kind[often]")[0] == "full"
    assert {"backup.status[often]", "backup.overdue_seconds[often]", "backup.age_seconds[often]"} <= set(desk.items())


async def test_a_drill_is_run_when_it_is_due_and_told_with_what_a_restore_will_take(
    site: BackupSite, tmp_path: Path
) -> None:
    bkp_ok("run", "often", config=site.host)
    with site.station.open("a") as file:
        file.write(
            '[[sets]]\nname = "often"\nhost = "web1"\ntarget = "store"\ndrill = "every 2s"\nrestore_within = "1s"\n'
        )
    keys = make_keys_of(tmp_path)
    desk = Desk()
    desk.document = {"probes": [{"probe": "drill", "interval_seconds": 60.0}]}
    async with collecting(desk, source=SOURCE, agent=keys) as (collector, server):
        told = write_settings(tmp_path, collector.control_port, server.public)
        head, upstreams, rest = told.read_text().partition("[[upstreams]]")
        told.write_text(f'{head}drills = "{site.station}"\n{upstreams}{rest}')
        async with agent_process(told) as agent:
            await until(lambda: "drill.restore_over_seconds[web1/often]" in desk.items(), 120, "a prediction")
            assert await agent.end() == 0
    assert "A drill starts" in agent.log
    assert {"drill.proven_age_seconds[web1/often]", "drill.restored_per_second[web1/often]"} <= set(desk.items())
    assert "entries" in desk.texts("drill.evidence[web1/often]")[0]


async def test_a_run_that_is_under_way_ends_in_order_with_its_agent_and_leaves_no_process(
    site: BackupSite, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        site.sets.clear()
        site.add_database_set("stuck", "store", f'database = "x"\nhost = "127.0.0.1"\nport = {port}')
        site.sets[0] = site.sets[0].replace('"never"', '"every 2s"')
        site.write()
        async with agent_process(with_backups(tmp_path, site)) as agent:
            await until(
                lambda: (
                    (state_of(site, "stuck").get("last_run") or {}).get("status") == "running"
                    and any("psql" in one.command for one in family([agent.pid]))
                ),
                60,
                "a run that waits for its database",
            )
            members = family([agent.pid])
            assert await agent.end() == 0
        assert [one.command for one in members if one.is_there] == []
    ended = state_of(site, "stuck")["last_run"]
    assert (ended["status"], ended["exit_code"]) == ("failed", 130)


async def test_sets_wait_for_each_other_and_say_so_unless_more_may_run_at_once_and_none_begins_outside_its_window(
    site: BackupSite, tmp_path: Path
) -> None:
    keys = make_keys_of(tmp_path)
    closed = f"{datetime.now(UTC) + timedelta(hours=2):%H:%M}-{datetime.now(UTC) + timedelta(hours=3):%H:%M}"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site.sets.clear()
        site.add_database_set("stuck", "store", f'database = "x"\nhost = "127.0.0.1"\nport = {silent.getsockname()[1]}')
        site.sets[0] = site.sets[0].replace('"never"', '"every 2s"')
        site.add_paths_set("second", "store", [site.folder / "data"], schedule="every 2s")
        site.add_paths_set("closed", "store", [site.folder / "data"], schedule="every 2s")
        site.sets[2] = site.sets[2].replace("schedule", f'window = "{closed}"\nschedule')
        site.write()
        desk = Desk()
        desk.document = {"probes": [{"probe": "backup", "interval_seconds": 1.0}]}
        async with (
            collecting(desk, source=SOURCE, agent=keys) as (collector, server),
            agent_process(with_backups(tmp_path, site, collector.control_port, server.public)) as agent,
        ):
            await until(
                lambda: any(desk.items().get(f"backup.waiting_seconds[{name}]", 0) > 0 for name in ("second", "stuck")),
                120,
                "the set that waits",
            )
            site.host.write_text("at_once = 2\n" + site.host.read_text())
            await until(lambda: state_of(site, "second").get("last_good") is not None, 120, "the second set beside it")
            await until(lambda: desk.items().get("backup.run_seconds[stuck]", 0) > 0, 60, "the run beside it")
            assert state_of(site, "stuck")["last_run"]["status"] == "running"
            assert await agent.end() == 0
    assert state_of(site, "closed") == {}


async def test_an_agent_whose_backup_toml_is_broken_says_so_and_samples_on(site: BackupSite, tmp_path: Path) -> None:
    site.host.write_text('host = "web1"\n[[sets]]\nname = "x"\n')
    async with agent_process(with_backups(tmp_path, site)) as agent:
        spool = tmp_path / "data" / "spool"
        await until(
            lambda: spool.exists() and any(each.stat().st_size > 4096 for each in spool.rglob("*")), 60, "values"
        )
        assert await agent.end() == 0
    assert "sets[0].target" in agent.log
