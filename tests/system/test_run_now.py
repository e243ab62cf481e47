"""Running a backup set from the page: over API, order, document, agent and `bkp`, and back as items."""

from __future__ import annotations

import json
import os
import signal
from datetime import datetime
from typing import TYPE_CHECKING

from playwright.async_api import expect

from backup.model import RunId
from backup.saving.journal import Journal
from backup.settings.document import read_settings
from tests.support.waiting import wait_until
from tests.system.browser import browsing
from tests.system.installation import watchkeep
from tests.system.looking import assert_accessible, assert_fitting, assert_readable
from tests.system.test_backups import SETS, run, sets_of

if TYPE_CHECKING:
    from tests.system.installation import LocalWatchkeep


async def test_a_set_is_saved_by_a_press_of_a_button_and_its_course_is_seen(running: LocalWatchkeep) -> None:
    api = running.api()
    wait_until(lambda: SETS[1] in sets_of(api), 300, "the set on the page")
    assert run(running, SETS[1]) == 0  # else its agent would save it by itself some minutes after its start
    async with browsing(running, width=360, height=740, is_dark=True) as browser:
        page = browser.page
        await browser.log_in(running.facts["user"], running.facts["password"])
        await expect(page.get_by_role("heading", name="Hosts")).to_be_visible()
        await browser.go(f"backups/{running.host}/{SETS[1]}")
        card = page.get_by_role("region", name="Run")
        agent = running.daemon("agent")
        assert agent is not None
        os.kill(agent.pid, signal.SIGSTOP)  # so that the run is not over before it is seen
        try:
            await card.get_by_role("button", name="Run now").press("Enter")
            await expect(card.get_by_role("button", name="Cancel the run")).to_be_visible()
        finally:
            os.kill(agent.pid, signal.SIGCONT)
        await expect(card).to_contain_text("Saved, compared and signed", timeout=300_000)
        await expect(page.get_by_role("group", name="Restore points")).to_be_visible(timeout=240_000)
        await assert_fitting(page)
        await assert_readable(page, is_dark=True)
        await assert_accessible(page)


def test_the_command_runs_a_set_and_the_same_order_again_is_the_same_run(running: LocalWatchkeep) -> None:
    api = running.api()
    wait_until(lambda: SETS[1] in sets_of(api), 300, "the set")
    path = f"/backups/{running.host}/{SETS[1]}"

    def points() -> set[datetime]:
        return {datetime.fromisoformat(point["at"]) for point in api.get(f"{path}/points")["points"]}

    before = points()
    name, data = f"{running.host}/{SETS[1]}", ("--data", str(running.data))
    done = watchkeep("backup", "run", name, *data, timeout_seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"ordered: {name}, due ")
    assert done.stdout.splitlines()[-1] == "ok"
    listed = json.loads(watchkeep("backup", "runs", name, "--json", *data).stdout)["runs"]
    assert (listed[0]["state"], listed[0]["set"]) == ("ok", SETS[1])
    assert listed[0]["ordered_by"].startswith("watchkeep backup (")
    journal = Journal(read_settings(running.data / "backup" / "backup.toml").work, SETS[1])
    run_id = RunId(set=SETS[1], due_at=datetime.fromisoformat(listed[0]["due_at"]))
    made = journal.find(run_id)
    assert made is not None
    assert made.at in points() - before
    again = [api.send("POST", f"{path}/runs", {"due_at": listed[0]["due_at"]}) for _ in range(2)]
    assert [(status, order["id"], order["state"]) for status, order in again] == [(202, listed[0]["id"], "ok")] * 2
    assert journal.find(run_id) == made
    nothing = watchkeep("backup", "cancel", name, *data)
    assert nothing.returncode == 2
    assert "no run that was ordered is under way" in nothing.stderr
    unknown = watchkeep("backup", "run", f"{running.host}/nothing", *data)
    assert unknown.returncode == 2
    assert "No agent says that it keeps a set" in unknown.stderr
