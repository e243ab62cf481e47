"""Coverage on the page: a host nobody saves is seen, waived with a reason and an end, by keyboard, and audited."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
from playwright.async_api import expect

from tests.support.waiting import until
from tests.system.browser import browsing
from tests.system.installation import watchkeep
from tests.system.looking import assert_accessible, assert_fitting

if TYPE_CHECKING:
    from tests.system.installation import LocalWatchkeep

BARE = "kind: host\nname: bare\n"


def problems(running: LocalWatchkeep) -> set[str]:
    return {each["name"] for each in running.api().get("/problems")["problems"]}


async def test_a_host_without_a_backup_is_seen_on_the_page_and_waived_by_keyboard(running: LocalWatchkeep) -> None:
    assert watchkeep("apply", "-", "--data", str(running.data), stdin=BARE).returncode == 0
    dsn = json.loads((running.data / "installation.json").read_text())["dsn"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE host SET created_at = now() - interval '3 days' WHERE name = 'bare'")
    try:
        async with browsing(running, width=360, height=740) as browser:
            page = browser.page
            await browser.log_in(running.facts["user"], running.facts["password"])
            await expect(page.get_by_role("heading", name="Hosts")).to_be_visible()
            await browser.go("backups")
            card = page.get_by_role("region", name="Coverage")
            row = card.get_by_role("row").filter(has_text="bare")
            await expect(row).to_contain_text("Not backed up")
            await expect(row).to_contain_text("no backup set saves it")
            await until(lambda: "bare is not backed up" in problems(running), 300, "the problem")
            await assert_fitting(page)
            await assert_accessible(page)
            await row.get_by_role("button", name="Waive bare").focus()
            await page.keyboard.press("Enter")
            await page.get_by_label("Why no backup is needed").fill("nothing lies there")
            await assert_accessible(page)
            await page.keyboard.press("Enter")
            await expect(row).to_contain_text("Waived")
            await expect(row).to_contain_text("nothing lies there")
            await until(lambda: "bare is not backed up" not in problems(running), 300, "the problem's end")
            await row.get_by_role("button", name="End the waiver of bare").press("Enter")
            await page.get_by_role("button", name="End it").press("Enter")
            await expect(row).to_contain_text("Not backed up")
    finally:
        status, _ = running.api().send("DELETE", "/definitions/host/bare")
        assert status == 200
