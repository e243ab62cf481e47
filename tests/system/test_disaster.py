"""Watchkeep itself is gone, and comes back from its own sets as docs/disaster.md says (B13)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.runtime.account import account_for
from tests.support.disaster import follow
from tests.support.waiting import wait_until
from tests.system.installation import CHECKOUT, LocalWatchkeep, watchkeep
from tests.system.test_backups import SETS, run, sets_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def installation() -> Iterator[LocalWatchkeep]:
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-lost-"))
    folder.chmod(0o755)
    made = LocalWatchkeep(folder)
    try:
        yield made
    finally:
        made.clear()
        shutil.rmtree(folder)


def test_watchkeep_is_back_with_its_users_hosts_and_keys(installation: LocalWatchkeep) -> None:
    installation.start()
    host, data, folder = installation.host, installation.data, installation.folder
    wait_until(lambda: bool(installation.api().get("/items", search="agent.")["items"]), 240, "values")
    with (folder / "shop.yaml").open("w") as file:
        file.write("kind: receiver\nname: on-call\nwebhook: {url: 'https://example.org/hook'}\n")
    assert watchkeep("apply", str(folder / "shop.yaml"), "--data", str(data)).returncode == 0
    for name in SETS:
        assert run(installation, name) == 0
    account = account_for(data, [Path(sys.executable)])
    sheet = subprocess.run(
        [*account.prefix, sys.executable, "-m", "backup.command", "key", "escrow", "--config",
         str(data / "restore-station" / "backup.toml")],
        cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=300,
    ).stdout  # fmt: skip
    passphrase = (data / "restore-station" / "keys.passphrase").read_text()
    key = (data / "keys" / "agent.key").read_bytes()
    facts = dict(installation.facts)
    assert installation.interrupt() == 0
    store = folder / "store"
    subprocess.run(["cp", "-a", str(data / "backup-target"), str(store)], check=True, timeout=300)
    shutil.rmtree(data)  # the fire

    place = folder / "new"
    place.mkdir(mode=0o700)
    (place / "sheet.txt").write_text(sheet)
    follow("key", place, said=passphrase, STORE=store)
    said = follow("watchkeep", place, STORE=store, HOST=host, DATA=data)
    assert "as many as were saved" in said
    again = watchkeep("rebuild", str(place / "watchkeep-database"), "--data", str(data))
    assert again.returncode == 1
    assert "tables already" in again.stderr

    installation.start()
    installation.facts["password"] = facts["password"]
    api = installation.api()
    assert (installation.host, (data / "keys" / "agent.key").read_bytes()) == (host, key)
    assert "on-call" in str(api.get("/definitions"))
    wait_until(lambda: len(sets_of(api)) == 2, 300, "its agent, which it still knows")
    assert run(installation, SETS[0]) == 0
    points = api.get(f"/backups/{host}/{SETS[0]}/points")["points"]
    # The oldest ones: its agent may have saved it by itself, too.
    assert [point["kind"] for point in points[-2:]] == ["full", "full"]
    assert not installation.crashes()
