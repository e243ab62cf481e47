"""`watchkeep up` as its user meets it: started, stopped, killed, started again, asked for twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import family, status_inside
from tests.support.waiting import wait_until
from tests.system.conftest import has_values
from tests.system.installation import watchkeep

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.api import Api
    from tests.support.processes import Living
    from tests.system.installation import LocalWatchkeep

READY = "database system is ready to accept connections"
DAEMONS = ("server", "proxy", "agent")


def newest(api: Api) -> str:
    """Return the instant of the newest value stored."""
    return max(host["last_at"] or "" for host in api.get("/hosts")["hosts"])


def user_and_powers(one: Living) -> tuple[list[str], int] | None:
    """Return as whom a process runs and what it may do beyond that; None when it has ended meanwhile."""
    try:
        status = status_inside(one.pid)
    except (OSError, subprocess.CalledProcessError):
        assert not one.is_there
        return None
    return status["Uid"].split(), int(status["CapEff"], 16)


def test_it_is_ready_soon_and_shows_values_from_the_database_soon_after(installation: LocalWatchkeep) -> None:
    """A minute and ten seconds are promised; the figures tell, and a machine that does much besides is slower."""
    assert installation.starts[0] <= 240
    assert installation.first_values_seconds <= 120


def test_none_of_its_parts_runs_as_root(running: LocalWatchkeep) -> None:
    parts = {name: pid for name, pid in running.facts["pids"].items() if name != "up"}
    assert set(parts) == {"postgres", *DAEMONS}
    for one in family(parts.values()):
        if (found := user_and_powers(one)) is None:
            continue
        users, powers = found
        assert "0" not in users, f"{one.command} is root"
        assert powers == 0, f"{one.command} has privileges"


def test_ctrl_c_stops_everything_and_it_goes_on_with_its_data(
    running: LocalWatchkeep, figure: Callable[[str], None]
) -> None:
    api = running.api()
    wait_until(lambda: has_values(api), 240, "values before the stop")
    item = api.get("/items", host=running.host, search="cpu.load1")["items"][0]
    before, members = newest(api), running.members()
    assert len(members) > 5

    assert running.interrupt() == 0

    # What writes the database's log ends a moment after it.
    wait_until(lambda: not any(one.is_there for one in members), 60, "the end of all its processes")
    assert not running.ready_file.exists()
    log = running.postgres_log()
    assert "database system is shut down" in log.splitlines()[-1]

    running.start()

    figure(f"up: ready {running.starts[-1]:.1f} s after a later start")
    assert running.starts[-1] <= 240
    wait_until(lambda: READY in running.postgres_log()[len(log) :], 60, "the log of the start")
    started = running.postgres_log()[len(log) :]
    assert "database system was shut down" in started
    assert "recovery" not in started
    api = running.api()
    wait_until(lambda: newest(api) > before, 240, "values after the start")

    def instants() -> list[int]:
        query = {"item": item["id"], "from": item["at"], "to": datetime.now(UTC).isoformat()}
        found: list[int] = api.get("/history", **query)["series"][0]["at"]
        return found

    wait_until(lambda: len(instants()) >= 2, 240, "history of both starts")


def test_a_second_one_in_the_same_folder_is_told_whom_to_stop(running: LocalWatchkeep) -> None:
    members = running.members()
    second = watchkeep("up", "--port", "0", "--data", str(running.data))
    assert second.returncode == 1
    assert f"{running.data} is in use by another `watchkeep up`" in second.stderr
    assert "--data" in second.stderr
    assert "Traceback" not in second.stderr
    assert all(one.is_there for one in members if one.pid in running.facts["pids"].values())


def test_a_taken_port_is_named_with_the_way_out(running: LocalWatchkeep) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        other = watchkeep("up", "--port", port, "--data", str(running.folder / "other"))
    assert other.returncode == 1
    assert f"port {port} cannot be used" in other.stderr
    assert "--port" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.parametrize("name", [*DAEMONS, "postgres"])
def test_a_part_that_is_killed_is_started_again(running: LocalWatchkeep, name: str) -> None:
    api = running.api()
    killed = running.part(name) if name == "postgres" else running.daemon(name)
    assert killed is not None
    before = newest(api)
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: not killed.is_there, 120, "its end")

    def goes_on() -> bool:
        try:
            return newest(api) > before
        except (AssertionError, OSError):  # the server or its database is away
            return False

    wait_until(goes_on, 300, f"values after {name} was killed")
    if name in DAEMONS:
        wait_until(lambda: running.daemon(name) is not None, 120, f"a new {name}")
    assert running.is_running


def test_killed_itself_it_leaves_no_daemon_and_the_next_start_works(running: LocalWatchkeep) -> None:
    before = newest(running.api())
    daemons = [one for name in DAEMONS if (one := running.daemon(name)) is not None]
    assert len(daemons) == len(DAEMONS)

    running.kill()

    wait_until(lambda: not any(one.is_there for one in daemons), 120, "the daemons' end")
    running.start()
    api = running.api()
    wait_until(lambda: newest(api) > before, 240, "values after the start")
