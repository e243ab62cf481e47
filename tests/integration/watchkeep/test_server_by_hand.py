"""A server started by its own configuration, as docs/operations.md says, on a database nobody prepared."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.store.migrate import migrate
from tests.support.api import Api
from tests.support.waiting import wait_until
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.store.database import DatabaseOptions

CHECKOUT = Path(__file__).parents[3]


def watchkeep(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watchkeep", *arguments],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


@pytest.fixture
def page(options: DatabaseOptions, data: Path) -> Iterator[str]:
    """The page of a server configured from the sample."""
    changes = {
        "name": "one",
        "dsn": options.dsn,
        "key_file": str(data / "server.key"),
        "control_port": 0,
        "data_port": 0,
        "web_port": 0,
    }
    config, ready = data / "one.toml", data / "ready"
    sample = watchkeep("server", "--sample").stdout
    lines = [line.removeprefix("# ").partition(" = ") for line in sample.splitlines() if " = " in line]
    edited = [f"{name} = {json.dumps(changes[name])}" for name, _, _ in lines if name in changes]
    assert len(edited) == len(changes)
    config.write_text("\n".join(edited))
    arguments = ["server", "--config", str(config), "--ready-file", str(ready)]
    server = subprocess.Popen([sys.executable, "-m", "watchkeep", *arguments], cwd=CHECKOUT, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: ready.exists() or server.poll() is not None, 120, "the page")
        assert ready.exists(), server.communicate(timeout=60)[1]
        url = ready.read_text().strip()
        Installation(dsn=options.dsn, url=url, server="one").write(data)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=120)


def test_the_password_command_makes_the_administrator_and_the_shipped_template_is_there(page: str, data: Path) -> None:
    made = watchkeep("password", "--generate", "--data", str(data))
    assert made.returncode == 0, made.stderr
    api = Api(page)
    assert api.sign_in("admin", made.stdout.strip()) == 200
    assert "linux-host" in {each["name"] for each in api.get("/definitions")["definitions"]}
    wait_until(lambda: api.get("/health")["role"] == "active", what="the server's reign")
    assert watchkeep("doctor", "--data", str(data)).returncode == 1, "only that no source may speak yet"


async def test_a_new_password_of_the_administrator_ends_the_telling_of_the_first(
    options: DatabaseOptions, data: Path
) -> None:
    await migrate(options)
    (data / "admin-password").write_text("the first one\n")
    assert watchkeep("password", "--generate", "--data", str(data)).returncode == 0
    assert not (data / "admin-password").exists()
