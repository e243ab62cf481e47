"""Make the pictures of docs/images anew, of a real installation: `python -m tests.system.pictures`.

It starts `watchkeep up` with its data in a new folder whose name the pictures may show, brings it two problems and a
backup, waits until the graphs have something to show, and takes each page light, dark and on a phone.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path
from typing import Final

from playwright.async_api import expect

from tests.integration.media.receiver import open_receiver
from tests.support.waiting import wait_until
from tests.system.browser import browsing
from tests.system.installation import CHECKOUT, LocalWatchkeep, watchkeep
from tests.system.ports import free_gate_port
from tests.system.test_backups import SETS, drill_own, run, sets_of

IMAGES: Final = CHECKOUT / "docs" / "images"
SET: Final = "watchkeep-files"
LOOKS: Final = {"light": (1280, 800, False), "dark": (1280, 800, True), "phone": (360, 740, False)}
DEFINITIONS: Final = """
kind: template
name: demo
items:
  - {probe: cpu, every: 10s}
triggers:
  - {name: Load is above its usual, expression: last(cpu.load1) > 0, severity: warning}
  - name: The processors of {host} have work
    expression: last(cpu.busy) > 0
    severity: high
    description: Look with top for what takes the processor.
---
kind: host
name: HOST
templates: [linux-host, inventory, backup, backup-pruner, backup-drills, backup-verification, demo]
groups: [demo]
---
kind: receiver
name: on-call
webhook: {url: "URL", allow_private: true}
---
kind: escalation
name: servers
for: {severities: [high, disaster]}
steps:
  - {tell: [on-call], every: 30m}
"""


def prepare(installation: LocalWatchkeep, url: str) -> dict[str, str]:
    """Bring it problems and a backup; return the places to be taken by the names of their pictures."""
    api = installation.api()
    file = installation.folder / "demo.yaml"
    file.write_text(DEFINITIONS.replace("HOST", installation.host).replace("URL", url))
    done = watchkeep("apply", "--overwrite", str(file), "--data", str(installation.data))
    assert done.returncode == 0, done.stderr
    wait_until(lambda: SET in sets_of(api), 120, "the set on the page")
    assert all(run(installation, name) == 0 for name in SETS)
    assert drill_own(installation, SET).returncode == 0
    station = installation.data / "restore-station" / "backup.toml"
    assert installation.bkp("verify", SET, "--depth", "read", config=station).returncode == 0
    wait_until(lambda: bool(sets_of(api)[SET].get("restore_points")), 120, "its restore point")
    wait_until(lambda: bool(sets_of(api)[SET].get("proven_at")), 120, "its proof")
    wait_until(lambda: len(api.get("/problems")["problems"]) >= 2, 120, "two problems")
    problem = next(each for each in api.get("/problems")["problems"] if each["severity"] == "high")
    return {
        "host": f"hosts/{installation.host}?range=5m",
        "problem": f"problems/{problem['id']}",
        "backups": "backups",
        "backup-set": f"backups/{installation.host}/{SET}?path={str(installation.data).lstrip('/')}",
        "new-hosts": "admin/keys",
        "first-steps": "start",
    }


async def picture(installation: LocalWatchkeep, minutes: float) -> None:
    """Let it live for so long, somebody listening on call, then take its pages."""
    loop = asyncio.get_running_loop()
    end = loop.time() + minutes * 60
    async with open_receiver() as receiver:
        places = await asyncio.to_thread(prepare, installation, receiver.url())
        await asyncio.sleep(max(0.0, end - loop.time()))
        await take(installation, places)


async def take(installation: LocalWatchkeep, places: dict[str, str]) -> None:
    """Take every place in every look."""
    for look, (width, height, is_dark) in LOOKS.items():
        async with browsing(installation, width=width, height=height, is_dark=is_dark) as browser:
            await browser.log_in(installation.facts["user"], installation.facts["password"])
            await browser.page.get_by_role("heading", level=1, name="Hosts").wait_for()
            for name, place in places.items():
                await browser.go(place)
                await expect(browser.page.get_by_role("status").filter(has_text="Reading")).to_have_count(0)
                await browser.page.wait_for_timeout(2000)  # graphs are drawn, the live values come
                await browser.page.screenshot(path=IMAGES / f"{name}-{look}.png", animations="disabled")


def main() -> None:
    """Make all of them; what was there is overwritten."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/srv/watchkeep"), help="a new one (%(default)s)")
    parser.add_argument("--minutes", type=float, default=6, help="of values in the graphs (%(default)s)")
    asked = parser.parse_args()
    asked.folder.mkdir(mode=0o755)
    installation = LocalWatchkeep(asked.folder, ("--listen", f"127.0.0.1:{free_gate_port()}"))
    try:
        installation.start()
        asyncio.run(picture(installation, asked.minutes))
    finally:
        installation.clear()
        shutil.rmtree(asked.folder)


if __name__ == "__main__":
    main()
