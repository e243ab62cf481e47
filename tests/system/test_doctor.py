"""`watchkeep doctor` on the whole product: well, with a part gone, and stopped."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

from tests.support.waiting import wait_until
from tests.system.installation import watchkeep

if TYPE_CHECKING:
    from tests.system.installation import LocalWatchkeep


def examine(installation: LocalWatchkeep) -> tuple[int, dict[str, dict[str, Any]]]:
    done = watchkeep("doctor", "--json", "--data", str(installation.data))
    assert done.stderr == ""
    return done.returncode, {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def test_a_running_installation_is_in_order(running: LocalWatchkeep) -> None:
    said: list[object] = []

    def is_in_order() -> bool:
        code, found = examine(running)
        said[:] = [check for check in found.values() if check["state"] != "ok"]
        return code == 0 and {check["state"] for check in found.values()} == {"ok"}

    try:
        wait_until(is_in_order, 300, "a doctor who has nothing to say")
    finally:
        assert said == []


def test_a_frozen_server_shows_in_lease_and_page_and_nothing_is_changed_by_looking(running: LocalWatchkeep) -> None:
    server = running.part("server").pid
    os.kill(server, signal.SIGSTOP)
    try:
        wait_until(lambda: examine(running)[1]["active server"]["state"] == "failure", 240, "the silence noticed")
        code, found = examine(running)
        assert code == 2
        assert found["page"]["state"] == "failure"
        assert found["database"]["state"] == "ok"
    finally:
        os.kill(server, signal.SIGCONT)
    wait_until(lambda: examine(running)[1]["active server"]["state"] == "ok", 240, "the server active again")


def test_a_stopped_installation_is_told_with_how_to_start_it(running: LocalWatchkeep) -> None:
    assert running.interrupt() == 0
    code, found = examine(running)
    assert code == 2
    assert found["processes"]["message"] == "Watchkeep is not running"
    assert f"watchkeep up --data {running.data}" in found["processes"]["remedy"]
    assert found["database"]["state"] == "failure"
    assert found["agent's spool"]["state"] == "ok"
    assert found["data folder"]["state"] == "ok"
    text = watchkeep("doctor", "--data", str(running.data))
    assert text.returncode == 2
    assert "✗ processes" in text.stdout
