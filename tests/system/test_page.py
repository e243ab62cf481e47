"""The real page in a real browser over the whole product: logging in, hosts, a graph that moves, a problem's life."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from playwright.async_api import expect

from core.wire.curve import load_or_create
from tests.integration.media.receiver import open_receiver
from tests.support.emitting import emitting
from tests.support.waiting import until, wait_until
from tests.system.browser import WAIT_MS, browsing
from tests.system.installation import watchkeep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.media.receiver import WebhookReceiver
    from tests.support.api import Api
    from tests.support.emitting import Emitter
    from tests.system.browser import Browser
    from tests.system.installation import LocalWatchkeep

ITEM = "shop.orders"
PROBLEM = "Too many orders wait"
PLACES = ("hosts", "hosts/{host}", "problems", "data", "graph?items={item}&hosts=shop", "health")
# Whatever reaches beyond the window and is not cut off or scrolled by something that fits.
OVERFLOWING = """() => {
  const wide = document.documentElement.clientWidth;
  const whole = document.documentElement.scrollWidth;
  const found = whole > wide ? [`the page: ${whole}`] : [];
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.right <= wide + 1) continue;
    let above = element.parentElement;
    while (above && getComputedStyle(above).overflowX === "visible") above = above.parentElement;
    if (!above || above === document.documentElement || above === document.body)
      found.push(`${element.tagName}.${element.className} to ${Math.round(box.right)}`);
  }
  return found;
}"""
# Relative luminance (WCAG 2.2) of the ground and the ink that are drawn.
LUMINANCES = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data]
      .map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const body = getComputedStyle(document.body);
  const root = getComputedStyle(document.documentElement).backgroundColor;
  const ground = body.backgroundColor === "rgba(0, 0, 0, 0)" ? root : body.backgroundColor;
  return [luminance(ground), luminance(getComputedStyle(document.querySelector("h1")).color)];
}"""


@dataclass(frozen=True)
class Shop:
    """A host of the test's own, whose one item it publishes, and who is told when it is too high."""

    emitter: Emitter
    receiver: WebhookReceiver
    item: int

    def told(self) -> list[str]:
        return [json.loads(notice.body)["event"] for notice in self.receiver.received]


@asynccontextmanager
async def open_shop(running: LocalWatchkeep, folder: Path) -> AsyncIterator[Shop]:
    """Define template, receiver and host by files, let the source in by the command, publish a first value."""
    api = await asyncio.to_thread(running.api)
    source, keys = uuid4(), load_or_create(folder / "key")
    async with open_receiver() as receiver:
        definitions = folder / "shop.yaml"
        definitions.write_text(
            f"kind: template\nname: shop\nitems:\n  - {{item: {ITEM}}}\ntriggers:\n"
            f"  - {{name: {PROBLEM}, expression: last({ITEM}) > 100, severity: high}}\n"
            f'---\nkind: receiver\nname: till\nwebhook: {{url: "{receiver.url()}", allow_private: true}}\n'
        )
        for command in (
            ("apply", "--overwrite", str(definitions)),
            ("key", "allow", "--role=agent", "--name=shop", f"--source={source}", "--template=shop", keys.public_text),
        ):
            done = await asyncio.to_thread(watchkeep, *command, "--data", str(running.data))
            assert done.returncode == 0, done.stderr + done.stdout
        async with emitting(
            folder, name="shop", source=source, keys=keys, upstreams=[running.proxy()]
        ) as emitter:  # fmt: skip
            emitter.publish({ITEM: 5})
            await until(lambda: emitter.unstored == 0, 20, "the first value's storing")
            (item,) = (await asyncio.to_thread(api.get, "/items", host="shop"))["items"]
            yield Shop(emitter, receiver, item["id"])
            emitter.publish({ITEM: 5})  # whatever happened: the problem ends with the test
            await until(lambda: emitter.unstored == 0, 20, "the last value's storing")
            await asyncio.to_thread(wait_until, lambda: not owed(api), 20, "the last notice")


def owed(api: Api) -> list[str]:
    """Return the notices about the shop that nobody has got yet."""
    problems = api.get("/problems", state="all", host="shop")["problems"]
    return [notice["state"] for problem in problems for notice in problem["told"] if notice["state"] != "sent"]


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
        await expect(rows.filter(has_text="cpu.busy")).to_contain_text("%")
        await expect(rows.filter(has_text="memory.available")).to_contain_text("GiB")
        await expect(browser.page.locator(".graphs canvas").first).to_be_visible()
        assert await rows.count() > 20


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
        assert await drawing.evaluate("canvas => canvas.toDataURL()") != before


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
async def test_on_a_phone_nothing_reaches_beyond_the_window(
    running: LocalWatchkeep, shop: Shop, *, is_dark: bool
) -> None:
    shop.emitter.publish({ITEM: 150})
    async with browsing(running, width=360, height=740, is_dark=is_dark) as browser:
        await enter(browser, running)
        for place in PLACES:
            await browser.go(place.format(host=running.host, item=shop.item))
            await browser.page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
            await expect(browser.page.locator("main .card, main table").first).to_be_visible()
            assert await browser.page.evaluate(OVERFLOWING) == [], place
            ground, ink = await browser.page.evaluate(LUMINANCES)
            assert (ground < 0.1) is is_dark, (place, ground)
            lighter, darker = max(ground, ink), min(ground, ink)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, place


async def test_logged_out_the_pages_are_closed(running: LocalWatchkeep) -> None:
    async with browsing(running) as browser:
        await enter(browser, running)
        await browser.page.get_by_role("button", name="Log out").click()
        await expect(browser.page.locator("input[name=password]")).to_be_visible()
        await browser.page.goto(f"{browser.url}#/problems")
        await expect(browser.page.locator("input[name=password]")).to_be_visible()
        assert running.api().send("GET", "/session")[0] == 200, "other sessions live on"
