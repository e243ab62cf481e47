"""Debian's Chromium on the page, and all it complains of."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from playwright.async_api import async_playwright, expect

from tests.support.addresses import addresses_stand_still

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import ConsoleMessage, Page, Request

    from tests.system.installation import LocalWatchkeep

CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
WAIT_MS: Final = 60_000
LAUNCH_MS: Final = 240_000
_TWO_FRAMES: Final = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
UNAUTHORISED: Final = "status of 401"  # Chromium's line for the question who is logged in, answered "nobody"


@dataclass
class Browser:
    """One page of the browser. `complaints`: errors of scripts and console; `strangers`: requests to other hosts."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and UNAUTHORISED not in message.text:
            self.complaints.append(f"{message.text} at {message.location}")

    def see(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:" + self.url)):
            self.strangers.append(request.url)

    async def log_in(self, user: str, password: str) -> None:
        """Fill in the form and send it."""
        await self.page.goto(self.url)
        await self.page.get_by_label("User").fill(user)
        await self.page.locator("input[name=password]").fill(password)
        await self.page.get_by_role("button", name="Log in").click()

    async def go(self, place: str) -> None:
        """Open a place of the page: "hosts", "graph?items=7"."""
        await self.page.goto(f"{self.url}#/{place}")
        await self.page.evaluate(_TWO_FRAMES)  # what was there before has gone
        await self.page.get_by_role("heading", level=1).wait_for()


@asynccontextmanager
async def browsing(
    installation: LocalWatchkeep, *, width: int = 1280, height: int = 900, is_dark: bool = False
) -> AsyncIterator[Browser]:
    """Open the browser, nobody logged in; fails at the end when anything was complained of or asked elsewhere."""
    expect.set_options(timeout=WAIT_MS)
    with ExitStack() as standing:
        await asyncio.to_thread(standing.enter_context, addresses_stand_still())
        async with async_playwright() as driver:
            chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=LAUNCH_MS)
            try:
                page = await chromium.new_page(
                    viewport={"width": width, "height": height}, color_scheme="dark" if is_dark else "light"
                )
                page.set_default_timeout(WAIT_MS)
                browser = Browser(page, installation.facts["url"])
                page.on("console", browser.hear)
                page.on("pageerror", lambda error: browser.complaints.append(str(error)))
                page.on("request", browser.see)
                yield browser
                assert not browser.complaints, browser.complaints
                assert not browser.strangers, browser.strangers
            finally:
                await chromium.close()
