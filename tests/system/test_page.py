"""The real page in a real browser over the whole product: logging in, hosts, a graph that moves, a problem's life."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from core.spool.faults import SpoolFull
from tests.support.waiting import until, until_found
from tests.system.browser import WAIT_MS, browsing
from tests.system.looking import assert_accessible, assert_fitting, assert_readable
from tests.system.shop import ITEM, PROBLEM, open_shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.system.browser import Browser
    from tests.system.installation import LocalWatchkeep
    from tests.system.shop import Shop

PLACES = (
    "hosts", "hosts/{host}", "problems", "problems/{problem}", "data", "graph?items={item}&hosts=shop", "backups",
    "health", "admin/keys", "admin/receivers", "admin/users", "admin/tokens", "admin/audit", "account", "start", "more",
)  # fmt: skip


@pytest.fixture
async def shop(running: LocalWatchkeep, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(running, tmp_path) as opened:
        yield opened


async def enter(browser: Browser, running: LocalWatchkeep) -> None:
    await browser.log_in(running.facts["user"], running.facts["password"])
    await expect(browser.page.get_by_role("heading", name="Hosts")).to_be_visible()


async def test_a_wrong_password_is_told_and_the_right_one_shows_the_hosts_with_values(running: LocalWatchkeep) -> None:
    async with browsing(running) as browser:
        page = browser.page
        await browser.log_in(running.facts["user"], "not the password")
        await expect(page.get_by_role("alert")).to_contain_text("password")
        await expect(page.get_by_role("heading", name="Hosts")).not_to_be_visible()

        await page.locator("input[name=password]").fill(running.facts["password"])
        await page.get_by_role("button", name="Log in").click()

        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=running.host, exact=True))
        await expect(row).to_contain_text("linux-host")
        await expect(row).to_contain_text(re.compile(r"\d+(\.\d+)?\s*%"))
        await expect(page.locator("header .link")).to_have_text("Live")
        await page.reload()
        await expect(row).to_contain_text("%")


async def test_a_host_shows_its_values_and_its_graphs(running: LocalWatchkeep) -> None:
    async with browsing(running) as browser:
        await enter(browser, running)
        await browser.page.get_by_role("link", name=running.host, exact=True).click()
        rows = browser.page.locator("table.items tbody tr")
        # A share of time takes two looks, ten seconds apart, and the page hears of new items every ten.
        await expect(rows.filter(has_text="cpu.busy")).to_contain_text("%", timeout=240_000)
        await expect(rows.filter(has_text="memory.available")).to_contain_text("GiB")
        await expect(browser.page.locator(".graphs canvas").first).to_be_visible()
        await expect(rows.nth(20)).to_be_visible()


async def test_a_graph_moves_by_itself(running: LocalWatchkeep, shop: Shop) -> None:
    async with browsing(running) as browser:
        await enter(browser, running)
        await browser.go(f"graph?items={shop.item}&hosts=shop")
        last = browser.page.locator("table.legend tbody td.now")
        await expect(last).to_have_text("5")
        drawing = browser.page.locator("canvas").first
        before = await drawing.evaluate("canvas => canvas.toDataURL()")

        for value in (61, 7):
            shop.emitter.publish({ITEM: value})
            await expect(last).to_have_text(str(value))

        await expect(browser.page.locator("table.legend tbody td[data-label=Greatest]")).to_have_text("61")

        async def redrawn() -> bool | None:
            return await drawing.evaluate("canvas => canvas.toDataURL()") != before or None

        await until_found(redrawn, WAIT_MS / 1000, "another picture")  # it is drawn after the legend is written


async def test_a_problem_comes_is_told_and_goes_by_itself(running: LocalWatchkeep, shop: Shop) -> None:
    async with browsing(running) as browser:
        await enter(browser, running)
        await browser.page.get_by_role("navigation").get_by_role("link", name="Problems").click()
        row = browser.page.get_by_role("row").filter(has_text=PROBLEM)
        await expect(browser.page.locator("header .link")).to_have_text("Live")
        await expect(row).to_have_count(0)

        shop.emitter.publish({ITEM: 150})
        await expect(row).to_contain_text("Open for")
        await expect(row).to_contain_text("high", ignore_case=True)
        await expect(row).to_contain_text("150")
        await until(lambda: shop.told() == ["opened"], WAIT_MS / 1000, "the notice that it opened")

        shop.emitter.publish({ITEM: 50})
        await expect(row).to_have_count(0)
        await until(lambda: shop.told() == ["opened", "resolved"], WAIT_MS / 1000, "the notice that it is over")
        await browser.page.get_by_text("Resolved", exact=True).click()
        await expect(row.first).to_contain_text("till by webhook")
        await expect(row.first).to_contain_text("sent")


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_every_page_fits_a_phone_and_axe_finds_nothing(
    running: LocalWatchkeep, shop: Shop, *, is_dark: bool
) -> None:
    shop.emitter.publish({ITEM: 150})
    async with browsing(running, width=360, height=740, is_dark=is_dark) as browser:
        await enter(browser, running)
        problem = await opened(browser)
        for place in PLACES:
            await browser.go(place.format(host=running.host, item=shop.item, problem=problem))
            await browser.page.wait_for_function("() => !document.querySelector('[aria-busy=true], .waiting')")
            await expect(browser.page.locator("main .card, main table").first).to_be_visible()
            await assert_fitting(browser.page)
            await assert_readable(browser.page, is_dark=is_dark)
            await assert_accessible(browser.page)


async def test_lost_records_are_told_where_the_host_the_graph_and_the_health_page_look(
    running: LocalWatchkeep, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_records: bytes) -> None:
        raise SpoolFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(shop.emitter.outbox.spool, "append", refuse)
        with pytest.raises(SpoolFull):
            shop.emitter.publish({ITEM: 5})
    shop.emitter.publish({ITEM: 6})
    await until(lambda: shop.emitter.unstored == 0, 120, "the storing of what came afterwards")
    async with browsing(running, width=360, height=740) as browser:
        page = browser.page
        await enter(browser, running)
        await browser.go("hosts/shop")
        records = page.get_by_role("region", name="Records")
        row = records.get_by_role("row").filter(has_text="Lost").first
        await expect(row).to_contain_text("1 record")
        await expect(row).to_contain_text("Its source dropped them")
        await assert_fitting(page)
        await assert_accessible(page)
        await browser.go(f"graph?items={shop.item}&hosts=shop")
        await expect(page.get_by_role("list", name="Missing records").first).to_contain_text("1 record lost")
        await assert_fitting(page)
        await assert_accessible(page)
        await browser.go("health")
        lacking = page.get_by_role("region", name="Records").get_by_role("row").filter(has_text="shop")
        await expect(lacking).to_contain_text("1")
        await assert_fitting(page)
        await assert_accessible(page)


async def opened(browser: Browser) -> str:
    """Open the shop's problem from the list of problems; return its number."""
    await browser.go("problems")
    await browser.page.get_by_role("link", name=PROBLEM, exact=True).click()
    await expect(browser.page.get_by_role("heading", level=1, name=PROBLEM)).to_be_visible()
    return browser.page.url.rpartition("/")[2]


async def test_a_problem_is_acknowledged_with_a_note_and_its_timeline_tells_all(
    running: LocalWatchkeep, shop: Shop
) -> None:
    async with browsing(running) as browser:
        page = browser.page
        await enter(browser, running)
        shop.emitter.publish({ITEM: 150})
        await opened(browser)
        timeline = page.get_by_role("region", name="Timeline").get_by_role("listitem")
        await expect(timeline.first).to_contain_text("Opened")
        await expect(page.locator("canvas").first).to_be_visible()

        await page.get_by_label("Note (optional)").fill("The till is being restarted.")
        await page.get_by_role("button", name="Acknowledge").click()
        acknowledged = timeline.filter(has_text="Acknowledged")
        await expect(acknowledged).to_contain_text("by admin")
        await expect(acknowledged).to_contain_text("The till is being restarted.")
        await page.get_by_label("Add a note").fill("It takes longer.")
        await page.get_by_role("button", name="Add note").click()
        await expect(timeline.filter(has_text="It takes longer.")).to_contain_text("Note")

        await browser.go("problems")
        row = page.get_by_role("row").filter(has_text=PROBLEM)
        await expect(row).to_contain_text("admin cares for it")
        await row.get_by_role("link", name=PROBLEM, exact=True).click()
        shop.emitter.publish({ITEM: 50})
        await expect(timeline.filter(has_text="Resolved at 50")).to_be_visible()
        await expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)


async def test_a_viewer_of_one_group_sees_correct_pages_and_nothing_he_may_not_do(running: LocalWatchkeep) -> None:
    api = running.api()
    password = "wide awake at the till"
    user = {"name": "looker", "role": "viewer", "groups": ["tills"], "password": password}
    assert api.send("POST", "/users", user)[0] == 200
    try:
        async with browsing(running) as browser:
            page = browser.page
            await browser.log_in("looker", password)
            await expect(page.get_by_role("heading", name="Hosts")).to_be_visible()
            links = page.get_by_role("navigation", name="Pages").get_by_role("link")
            await expect(links.filter(visible=True)).to_have_text(["Hosts", "Problems", "Latest data", "Backups"])
            for place in ("hosts", "problems", "data", "backups", "account", "more"):
                await browser.go(place)
                await page.wait_for_function("() => !document.querySelector('[aria-busy=true], .waiting')")
                await expect(page.locator("main [role=alert]:not(:empty)")).to_have_count(0)
            await browser.go("admin/users")
            await expect(page.get_by_text("not for your role")).to_be_visible()
            await browser.go("hosts")
            await expect(page.get_by_role("link", name=running.host, exact=True)).to_have_count(0)
    finally:
        assert api.send("DELETE", "/users/looker")[0] == 204


async def test_logged_out_the_pages_are_closed(running: LocalWatchkeep) -> None:
    async with browsing(running) as browser:
        await enter(browser, running)
        await browser.page.get_by_role("button", name="Log out").click()
        await expect(browser.page.locator("input[name=password]")).to_be_visible()
        await browser.page.goto(f"{browser.url}#/problems")
        await expect(browser.page.locator("input[name=password]")).to_be_visible()
        assert running.api().send("GET", "/session")[0] == 200, "other sessions live on"
