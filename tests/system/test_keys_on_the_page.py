"""A key's life on the page: a newcomer is approved, its key replaced while values come, and shut out at last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.stranger import strangers_machine
from tests.support.waiting import until
from tests.system.browser import browsing
from tests.system.installation import gated_watchkeep
from tests.system.joining import typed
from tests.system.looking import assert_accessible, assert_fitting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.async_api import Locator, Page

    from tests.support.stranger import StrangersMachine
    from tests.system.installation import LocalWatchkeep

ARRIVAL_MS = 240_000


@pytest.fixture
def machine() -> Iterator[StrangersMachine]:
    with strangers_machine() as made:
        yield made


@pytest.fixture
def gated(machine: StrangersMachine) -> Iterator[LocalWatchkeep]:
    """An installation that the newcomer's machine can reach, and which keeps nothing of others' refusals."""
    with gated_watchkeep(machine.here) as made:
        yield made


def rows(page: Page, table: str, name: str) -> Locator:
    return page.get_by_role("table", name=table).get_by_role("row").filter(has_text=name)


async def assert_fine(page: Page) -> None:
    """Axe finds nothing, and all of it fits a phone."""
    wide = page.viewport_size
    assert wide is not None
    await assert_accessible(page)
    await page.set_viewport_size({"width": 360, "height": 740})
    await assert_fitting(page)
    await page.set_viewport_size(wide)


async def test_a_newcomer_is_approved_its_key_replaced_while_values_come_and_revoked(
    gated: LocalWatchkeep, machine: StrangersMachine, tmp_path: Path
) -> None:
    api = gated.api()

    def last_at(name: str) -> str | None:
        (found,) = [host["last_at"] for host in api.get("/hosts")["hosts"] if host["name"] == name]
        return None if found is None else str(found)

    async def values_go_on(name: str) -> None:
        before = last_at(name)
        await until(lambda: last_at(name) != before, ARRIVAL_MS / 1000, f"values of {name} after {before}")

    folder = tmp_path / "newcomer"
    listed = api.get("/enrolment/requests")
    command = f"watchkeep-agent join {listed['entrance']}"
    async with browsing(gated) as browser:
        page = browser.page
        await browser.log_in(gated.facts["user"], gated.facts["password"])
        await expect(page.get_by_role("heading", name="Hosts")).to_be_visible()
        await browser.go("admin/keys")
        await expect(page.get_by_text("Nobody is waiting")).to_be_visible()
        own = await page.get_by_text("own fingerprint").locator("code").inner_text()
        with typed(machine, command, "--name", "newcomer", "--fingerprint", own, folder=folder):
            asking = rows(page, "Requests that wait", "newcomer")
            await expect(asking).to_contain_text(machine.there, timeout=ARRIVAL_MS)
            fingerprint = await asking.locator("code").inner_text()
            # What the page asks to compare; the machine says it once it was told that it has to wait.
            await until(lambda: fingerprint in (folder / "said").read_text(), ARRIVAL_MS / 1000, "its own fingerprint")
            await assert_fine(page)

            await asking.get_by_role("button", name="Approve newcomer").click()
            dialog = page.get_by_role("dialog", name="Let newcomer in?")
            await expect(dialog).to_contain_text(fingerprint)
            await assert_fine(page)
            await dialog.get_by_role("button", name="Approve").click()
            await expect(asking).to_have_count(0)
            let_in = rows(page, "Keys", "newcomer")
            await expect(let_in).to_contain_text("let in", timeout=ARRIVAL_MS)
            await expect(let_in).to_contain_text(fingerprint)
            await browser.go("hosts/newcomer")
            await expect(page.locator("table.items tbody tr").filter(has_text="memory.available")).to_contain_text(
                "GiB", timeout=ARRIVAL_MS
            )

            await browser.go("admin/keys")
            await let_in.get_by_role("button", name="Rotate the key of newcomer").click()
            dialog = page.get_by_role("dialog", name="Rotate the key of newcomer?")
            await assert_fine(page)
            await dialog.get_by_role("button", name="Rotate").click()
            await expect(let_in).to_have_count(2, timeout=ARRIVAL_MS)
            old, new = let_in.filter(has_text="revoked"), let_in.filter(has_text="let in")
            await expect(old).to_contain_text(fingerprint, timeout=ARRIVAL_MS)
            successor = await new.locator("code").inner_text()
            assert successor != fingerprint
            await values_go_on("newcomer")
            await assert_fine(page)

            await new.get_by_role("button", name="Revoke the key of newcomer").click()
            dialog = page.get_by_role("dialog", name="Revoke the key of newcomer?")
            await assert_fine(page)
            await dialog.get_by_role("button", name="Revoke").click()
            await expect(let_in.filter(has_text="revoked")).to_have_count(2)
            await expect(let_in.get_by_role("button")).to_have_count(0)

            await browser.go("health")
            part = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="newcomer"))
            await expect(part).to_contain_text("its key was revoked", timeout=ARRIVAL_MS)
            refused = page.get_by_role("table", name="Refusals").get_by_role("row").filter(has_text="proxy.revoked_key")
            await expect(refused).to_contain_text("at proxy: ", timeout=ARRIVAL_MS)
            await assert_fine(page)
            await values_go_on(gated.host)  # what was taken before its end is stored by then
            stopped_at = last_at("newcomer")
            await values_go_on(gated.host)
            await values_go_on(gated.host)
            assert last_at("newcomer") == stopped_at

        await browser.go("admin/audit?object=newcomer")
        done = page.get_by_role("table", name="What was done")
        for action, shown in (
            ("enrolment.approve", fingerprint), ("key.rotate", fingerprint), ("key.rotated", successor),
            ("key.revoke", successor),
        ):  # fmt: skip
            entry = done.get_by_role("row").filter(has=page.get_by_text(action, exact=True))
            await expect(entry).to_contain_text(shown)
        await assert_fine(page)
