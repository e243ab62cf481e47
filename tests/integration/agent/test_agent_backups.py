"""A real agent keeps its host's backups: due, run, told as items; ended in order with it; with no server at all."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent.remembered import Remembered, save
from tests.integration.agent.process import SOURCE, agent_process, make_keys_of, write_settings
from tests.support.backup_site import backup_site, bkp_ok
from tests.support.collecting import Desk, collecting
from tests.support.files import sizes_in
from tests.support.processes import family
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
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
        # Whichever run is the first to be told of on a busy machine, it is a full one.
        made.sets[0] = made.sets[0].replace("schedule", "full_after_links = 0\nschedule")
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


async def test_drills_and_verifications_are_done_when_they_are_due_and_told_with_what_a_restore_will_take(
    site: BackupSite, tmp_path: Path
) -> None:
    bkp_ok("run", "often", config=site.host)
    with site.station.open("a") as file:
        file.write(
            '[verification]\nschedule = "every 2s"\nsample = "50%"\n'
            '[[sets]]\nname = "often"\nhost = "web1"\ntarget = "store"\ndrill = "every 2s"\nrestore_within = "1s"\n'
        )
    keys = make_keys_of(tmp_path)
    desk = Desk()
    desk.document = {"probes": [{"probe": name, "interval_seconds": 60.0} for name in ("drill", "verification")]}
    async with collecting(desk, source=SOURCE, agent=keys) as (collector, server):
        told = write_settings(tmp_path, collector.control_port, server.public)
        head, upstreams, rest = told.read_text().partition("[[upstreams]]")
        told.write_text(f'{head}drills = "{site.station}"\n{upstreams}{rest}')
        async with agent_process(told) as agent:
            told_of = {
                f"drill.{name}[web1/often]"
                for name in ("restore_over_seconds", "proven_age_seconds", "restored_per_second", "evidence")
            } | {f"verification.{name}[web1/often]" for name in ("verified_age_seconds", "overdue_seconds", "depth")}
            await until(lambda: told_of <= set(desk.items()), 120, "a proof, a prediction and a verification")
            assert await agent.end() == 0
    assert "A drill starts" in agent.log
    assert "entries" in desk.texts("drill.evidence[web1/often]")[0]
    assert desk.texts("verification.depth[web1/often]")[0] == "sampled"


async def test_a_run_that_is_under_way_ends_in_order_with_its_agent_and_leaves_no_process(
    site: BackupSite, tmp_path: Path
) -> None:
    site.sets.clear()
    add_endless_set(site, "stuck")
    site.sets[0] = site.sets[0].replace('"never"', '"every 2s"')
    site.write()
    async with agent_process(with_backups(tmp_path, site)) as agent:
        await until(
            lambda: (
                (state_of(site, "stuck").get("last_run") or {}).get("status") == "running"
                and any("sleep" in one.command for one in family([agent.pid]))
            ),
            120,
            "a run that waits for its program",
        )
        members = family([agent.pid])
        assert await agent.end() == 0
    await until(lambda: not any(one.is_there for one in members), what="the end of whatever it had started")
    ended = state_of(site, "stuck")["last_run"]
    assert (ended["status"], ended["exit_code"]) == ("failed", 130)


async def test_sets_wait_for_each_other_and_say_so_unless_more_may_run_at_once_and_none_begins_outside_its_window(
    site: BackupSite, tmp_path: Path
) -> None:
    keys = make_keys_of(tmp_path)
    closed = f"{datetime.now(UTC) + timedelta(hours=2):%H:%M}-{datetime.now(UTC) + timedelta(hours=3):%H:%M}"
    site.sets.clear()
    add_endless_set(site, "stuck")
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
            lambda: any(
                value > 0 for name in ("second", "stuck") for value in desk.values(f"backup.waiting_seconds[{name}]")
            ),
            120,
            "the set that waits",
        )
        draft = site.host.with_suffix(".new")
        draft.write_text("at_once = 2\n" + site.host.read_text())
        draft.replace(site.host)  # in one step: the agent may read it at any moment
        await until(lambda: were_side_by_side(site), 120, "the second set beside it")
        await until(
            lambda: any(value > 0 for value in desk.values("backup.run_seconds[stuck]")), 120, "the run beside it"
        )
        assert await agent.end() == 0
    assert state_of(site, "closed") == {}


def add_endless_set(site: BackupSite, name: str) -> None:
    """Add a set whose program does not end by itself."""
    site.sets.append(
        f'[[sets]]\nname = "{name}"\ntarget = "store"\nschedule = "never"\n'
        '[sets.command]\narguments = ["sleep", "1000"]\n'
    )


def were_side_by_side(site: BackupSite) -> bool:
    """Tell whether the second set was saved while the stuck one ran."""
    stuck, good = state_of(site, "stuck").get("last_run"), state_of(site, "second").get("last_good")
    return (
        stuck is not None
        and good is not None
        and stuck["started_at"] < good["started_at"] < (stuck["ended_at"] or good["started_at"] + "~")
    )


def order(name: str, due_at: datetime, *, is_cancelled: bool = False, minutes: float = 15) -> dict[str, Any]:
    """Return how a server's document orders a run."""
    expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
    return {
        "set": name, "due_at": due_at.isoformat(), "expires_at": expires_at.isoformat(), "is_cancelled": is_cancelled,
    }  # fmt: skip


def ordering(*orders: dict[str, Any]) -> dict[str, Any]:
    return {"probes": [{"probe": "backup", "interval_seconds": 1.0}], "backup_runs": list(orders)}


async def answered(desk: Desk, name: str, due_at: datetime, state: str, but_of: Collection[int] = ()) -> str:
    """Wait for this answer to the order of a set, by another life than those of `but_of`, and return its note."""
    wanted = f"{due_at.isoformat()} {state}"

    def texts() -> list[str]:
        return [text for text in desk.texts(f"backup.order[{name}]", but_of) if text.startswith(wanted)]

    await until(lambda: bool(texts()), 180, wanted)
    return texts()[-1].removeprefix(wanted).strip()


async def test_an_order_runs_once_whatever_servers_send_it_and_one_of_a_replaced_server_never(
    site: BackupSite, tmp_path: Path
) -> None:
    """Trial B-7: two servers order the same run."""
    keys = make_keys_of(tmp_path)
    site.sets.clear()
    site.add_paths_set("asked", "store", [site.folder / "data"])
    site.write()
    runs = site.folder / "host" / "work" / "asked" / "runs"
    now = datetime.now(UTC).replace(microsecond=0)
    first, stale, second = now, now + timedelta(seconds=1), now + timedelta(seconds=2)
    desk = Desk(epoch=4)
    desk.document = ordering(order("asked", first))
    async with (
        collecting(desk, source=SOURCE, agent=keys) as (collector, server),
        agent_process(with_backups(tmp_path, site, collector.control_port, server.public)) as agent,
    ):
        await answered(desk, "asked", first, "ok")
        # The server that took over orders the same again; the one it replaced, another one.
        desk.epoch = 5
        collector.stand(role="server", epoch=5, is_active=True)
        assert await desk.configure(keys.public, ordering(order("asked", first)), epoch=5)
        assert await desk.configure(keys.public, ordering(order("asked", stale)), epoch=4)
        assert await desk.configure(keys.public, ordering(order("asked", first), order("asked", second)), epoch=5)
        await answered(desk, "asked", second, "ok")
        assert await agent.end() == 0
    assert sorted(each.stem for each in runs.iterdir()) == [f"{at:%Y%m%dT%H%M%SZ}" for at in (first, second)]
    before = desk.boots()
    async with (
        collecting(desk, source=SOURCE, agent=keys) as (collector, server),
        agent_process(with_backups(tmp_path, site, collector.control_port, server.public)) as agent,
    ):
        # A restart forgets no answer, and runs nothing again.
        assert await answered(desk, "asked", second, "ok", before) == ""
        assert await agent.end() == 0
    assert len(list(runs.iterdir())) == 2


async def test_a_run_that_was_ordered_can_be_cancelled_and_what_cannot_be_done_is_refused_with_its_reason(
    site: BackupSite, tmp_path: Path
) -> None:
    keys = make_keys_of(tmp_path)
    now = datetime.now(UTC).replace(microsecond=0)
    site.sets.clear()
    add_endless_set(site, "stuck")
    site.add_paths_set("late", "store", [site.folder / "data"])
    site.write()
    desk = Desk()
    desk.document = ordering(order("stuck", now), order("late", now, minutes=-1))
    async with (
        collecting(desk, source=SOURCE, agent=keys) as (collector, server),
        agent_process(with_backups(tmp_path, site, collector.control_port, server.public)) as agent,
    ):
        assert await answered(desk, "late", now, "refused") == "the order came too late"
        await answered(desk, "stuck", now, "started")
        await until(
            lambda: (
                (state_of(site, "stuck").get("last_run") or {}).get("status") == "running"
                and any("sleep" in one.command for one in family([agent.pid]))
            ),
            120,
            "the run",
        )
        other = order("stuck", now + timedelta(seconds=5))
        assert await desk.configure(keys.public, ordering(order("stuck", now), other))
        note = await answered(desk, "stuck", now + timedelta(seconds=5), "refused")
        assert note.endswith("is under way")
        assert await desk.configure(keys.public, ordering(order("stuck", now, is_cancelled=True)))
        assert await answered(desk, "stuck", now, "cancelled") == "it was cancelled"
        await until(lambda: not any("sleep" in one.command for one in family([agent.pid])), what="its end")
        assert await agent.end() == 0
    assert state_of(site, "stuck")["last_run"]["exit_code"] == 130


async def test_an_ordered_run_whose_agent_was_killed_is_told_as_failed_and_not_begun_anew(
    site: BackupSite, tmp_path: Path
) -> None:
    keys = make_keys_of(tmp_path)
    now = datetime.now(UTC).replace(microsecond=0)
    site.sets.clear()
    add_endless_set(site, "killed")
    site.write()
    desk = Desk()
    desk.document = ordering(order("killed", now))
    async with (
        collecting(desk, source=SOURCE, agent=keys) as (collector, server),
        agent_process(with_backups(tmp_path, site, collector.control_port, server.public)) as agent,
    ):
        await answered(desk, "killed", now, "started")
        await until(lambda: (state_of(site, "killed").get("last_run") or {}).get("status") == "running", 120, "the run")
        members = family([agent.pid])
        assert await agent.end(signal.SIGKILL) == -signal.SIGKILL
        await until(lambda: not any(one.is_there for one in members), 120, "the end of all")
    desk = Desk()  # nobody orders anything: what was remembered is enough
    async with (
        collecting(desk, source=SOURCE, agent=keys) as (collector, server),
        agent_process(with_backups(tmp_path, site, collector.control_port, server.public)) as agent,
    ):
        assert "begun before" in await answered(desk, "killed", now, "failed")
        assert await agent.end() == 0
    assert len(list((site.folder / "host" / "work" / "killed" / "runs").iterdir())) == 1


async def test_an_agent_whose_backup_toml_is_broken_says_so_and_samples_on(site: BackupSite, tmp_path: Path) -> None:
    site.host.write_text('host = "web1"\n[[sets]]\nname = "x"\n')
    async with agent_process(with_backups(tmp_path, site)) as agent:
        spool = tmp_path / "data" / "spool"
        await until(lambda: any(size > 4096 for size in sizes_in(spool)), 120, "values")
        assert await agent.end() == 0
    assert "sets[0].target" in agent.log


async def test_a_set_under_a_limit_begins_when_it_gets_its_place_and_without_one_when_nobody_gives_it_in_time(
    site: BackupSite, tmp_path: Path
) -> None:
    keys = make_keys_of(tmp_path)
    site.sets.clear()
    site.add_folder_target("near")
    site.add_paths_set("patient", "near", [site.folder / "data"], schedule="every 1m")
    site.add_paths_set("hasty", "store", [site.folder / "data"], schedule="every 1m")
    site.add_paths_set("idle", "near", [site.folder / "data"])
    site.write()
    limits = [
        {"name": "one", "targets": ["near"], "wait_at_most_seconds": 3600.0},
        {"name": "two", "targets": ["store"], "wait_at_most_seconds": 0.0},
    ]
    desk = Desk()
    desk.document = {**ordering(), "backup_limits": limits}
    (tmp_path / "data").mkdir()
    save(tmp_path / "data" / "remembered.json", Remembered(body=desk.document))

    def claims() -> list[str]:
        return [text for text in desk.texts("backup.claim[patient]") if text]

    async with (
        collecting(desk, source=SOURCE, agent=keys) as (collector, server),
        agent_process(with_backups(tmp_path, site, collector.control_port, server.public)) as agent,
    ):
        await until(lambda: state_of(site, "hasty").get("last_good") is not None, 120, "a run without its place")
        await until(lambda: 1.0 in desk.values("backup.unplaced[hasty]"), 120, "that it had none")
        await until(lambda: bool(claims()), 120, "a claim")
        assert state_of(site, "patient") == {}
        now = datetime.now(UTC).replace(microsecond=0)
        due, since, targets = claims()[-1].split(" ")
        assert (since <= due, targets) == (True, "near")
        due_at = datetime.fromisoformat(due)
        given = [{**order(name, at), "is_given": True} for name, at in (("patient", due_at), ("idle", now))]
        assert await desk.configure(keys.public, {**ordering(*given), "backup_limits": limits})
        await answered(desk, "patient", due_at, "ok")
        assert (await answered(desk, "idle", now, "refused")).startswith("it waits no more")
        assert 1.0 not in desk.values("backup.unplaced[patient]")
        assert await agent.end() == 0
    assert state_of(site, "idle") == {}
