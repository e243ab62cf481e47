"""The way from nothing to the first remote host, message, backup and restored file, walked on the page alone."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.integration.media.receiver import open_receiver
from tests.support.waiting import until
from tests.system.browser import WAIT_MS, browsing
from tests.system.installation import CHECKOUT, gated_watchkeep
from tests.system.looking import assert_accessible, assert_fitting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from playwright.async_api import Locator, Page

    from tests.system.installation import LocalWatchkeep

ARRIVAL_MS = 240_000


@pytest.fixture(scope="module")
def fresh() -> Iterator[LocalWatchkeep]:
    """An installation nobody has logged in to yet, which lets other hosts in."""
    with gated_watchkeep() as made:
        yield made


@asynccontextmanager
async def joined(command: str, folder: Path) -> AsyncIterator[None]:
    """Run the page's command as the new machine does; ends the agent at the end."""
    program, *words = shlex.split(command)
    assert program == "watchkeep-agent"
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *words, "--data", str(folder),
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield
    finally:
        if agent.returncode is None:
            agent.send_signal(signal.SIGTERM)
        async with asyncio.timeout(240):
            said, _ = await agent.communicate()
    assert agent.returncode == 0, said.decode()


def step(page: Page, title: str) -> Locator:
    """Return one of the first steps by its title."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=re.compile(f"^{title}")))


async def test_the_first_steps_lead_to_a_host_and_a_message_and_can_be_put_away(
    fresh: LocalWatchkeep, tmp_path: Path
) -> None:
    async with browsing(fresh) as browser, open_receiver() as receiver:
        page = browser.page
        await browser.log_in(fresh.facts["user"], fresh.facts["password"])
        await expect(page.get_by_role("complementary", name="First steps")).to_contain_text("of 4 done")
        await page.get_by_role("link", name="Go on").click()
        await expect(step(page, "Watch a remote host")).to_contain_text("To do")
        await page.get_by_role("link", name="Let a host in").click()

        await page.get_by_label("Name of the host").fill("db1")
        await page.get_by_role("button", name="Make a token").click()
        command = await page.get_by_role("group", name="Command for the new machine").inner_text()
        await expect(page.get_by_text("Waiting for the machine")).to_be_visible()
        async with joined(command, tmp_path / "agent"):
            await expect(page.get_by_text("The first values of db1 are here")).to_be_visible(timeout=ARRIVAL_MS)
            await assert_accessible(page)
            await page.get_by_role("link", name="See db1").click()
            await expect(page.get_by_role("heading", level=1, name="db1")).to_be_visible()
            await browser.go("start")
            await expect(step(page, "Watch a remote host")).to_contain_text("Done")

        await page.get_by_role("button", name="Add a receiver").click()
        form = page.get_by_role("dialog", name="Add a receiver")
        await form.get_by_label("Name").fill("on-call")
        await form.get_by_text("Webhook", exact=True).click()
        await form.get_by_label("URL").fill(receiver.url())
        await form.get_by_label("private network").check()
        await assert_accessible(page)
        await form.get_by_role("button", name="Add receiver").click()
        message = step(page, "Get a first message")
        await message.get_by_role("button", name="Send a test to on-call").click()
        await expect(message).to_contain_text("webhook: it took the test")
        await expect(message.get_by_role("heading")).to_contain_text("Done")
        await until(lambda: len(receiver.received) == 1, WAIT_MS / 1000, "the test's arrival")
        assert json.loads(receiver.received[0].body)["event"] == "test"

        await page.get_by_role("button", name="Put away").click()
        await expect(page.get_by_role("heading", level=1, name="Hosts")).to_be_visible()
        await expect(page.get_by_role("link", name="db1", exact=True)).to_be_visible()
        await expect(page.get_by_role("complementary", name="First steps")).to_have_count(0)
        await browser.go("account")
        await page.get_by_role("link", name="First steps").click()
        await expect(step(page, "Get a first message")).to_contain_text("Done")


async def test_a_token_for_programs_is_shown_once_and_opens_the_api_until_it_is_revoked(
    fresh: LocalWatchkeep,
) -> None:
    async with browsing(fresh) as browser:
        page = browser.page
        await browser.log_in(fresh.facts["user"], fresh.facts["password"])
        await expect(page.get_by_role("heading", name="Hosts")).to_be_visible()
        await browser.go("admin/tokens")
        await page.get_by_role("button", name="Make a token").click()
        await page.get_by_role("dialog").get_by_label("Name").fill("grafana")
        await page.get_by_role("button", name="Make token").click()
        secret = await page.get_by_role("group", name="The token's secret").inner_text()
        await assert_accessible(page)
        await page.get_by_role("button", name="Done").click()
        await expect(page.get_by_role("group", name="The token's secret")).to_have_count(0)
        assert secret not in await page.content()
        bearer = {"Authorization": f"Bearer {secret}"}
        asked = f"{fresh.facts['url']}api/v1/hosts"
        program = await page.context.browser.new_context() if page.context.browser else page.context
        try:
            assert (await program.request.get(asked, headers=bearer)).status == 200
            await page.get_by_role("button", name="Revoke grafana").click()
            await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
            await expect(page.get_by_role("row").filter(has_text="grafana")).to_have_count(0)
            assert (await program.request.get(asked, headers=bearer)).status == 401
        finally:
            await program.close()
        await browser.go("admin/audit?action=token")
        await expect(page.get_by_role("row").filter(has_text="token.revoke")).to_contain_text("grafana")


async def test_a_file_of_watchkeep_s_own_backup_is_restored_byte_for_byte(fresh: LocalWatchkeep) -> None:
    saved = fresh.data / "agent-identity.json"
    done = await asyncio.to_thread(fresh.bkp, "run", "watchkeep-files", config=fresh.data / "backup" / "backup.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    async with browsing(fresh) as browser:
        page = browser.page
        await browser.log_in(fresh.facts["user"], fresh.facts["password"])
        await expect(page.get_by_role("heading", name="Hosts")).to_be_visible()
        await browser.go("backups")
        await expect(page.get_by_role("region", name="escrow sheet")).to_contain_text("bkp key escrow")
        await page.get_by_role("link", name="watchkeep-files").click(timeout=ARRIVAL_MS)
        # Not the only one when its agent has saved it by itself, too.
        chosen = page.get_by_role("group", name="Restore points").get_by_role("radio", checked=True)
        await expect(chosen).to_have_count(1)
        for folder in saved.parent.parts[1:]:
            files = page.get_by_role("region", name="Files at this point")
            await files.get_by_role("link", name=folder, exact=True).click()
        await expect(page.get_by_role("group", name="Command that restores the whole set")).to_contain_text(
            f"bkp restore {fresh.host}/watchkeep-files --at "
        )
        await page.get_by_role("button", name=f"Restore {saved.name}").click()
        dialog = page.get_by_role("dialog", name=f"Restore {saved.name}")
        await assert_accessible(page)
        await dialog.get_by_role("button", name="Restore").click()
        async with page.expect_download(timeout=ARRIVAL_MS) as download:
            await dialog.get_by_role("link", name="Download").click(timeout=ARRIVAL_MS)
        assert (await (await download.value).path()).read_bytes() == saved.read_bytes()
        await dialog.get_by_role("button", name="Close").last.click()
        await page.set_viewport_size({"width": 360, "height": 740})
        await assert_fitting(page)
        await assert_accessible(page)
        await browser.go("start")
        await expect(step(page, "Restore a first file")).to_contain_text("Done")
