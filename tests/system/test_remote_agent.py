"""An agent of another host, let in by hand as the README says."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.waiting import wait_until
from tests.system.installation import CHECKOUT, gated_watchkeep, watchkeep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.installation import LocalWatchkeep

LET_IN_SECONDS = 240.0


@pytest.fixture
def gated() -> Iterator[LocalWatchkeep]:
    """An installation that takes in agents of other hosts."""
    with gated_watchkeep() as made:
        yield made


def test_an_agent_by_hand_is_heard_once_its_key_is_allowed(gated: LocalWatchkeep, tmp_path: Path) -> None:
    announced = re.search(r"Agents +of other hosts at (\S+)\s+upstream key (\S{40})\n", gated.output)
    assert announced is not None, gated.output
    endpoint, upstream_key = announced.groups()
    sample = subprocess.run(
        [sys.executable, "-m", "agent", "--sample"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    source = str(uuid4())
    changes = {
        "name": "db1",
        "source": source,
        "data": str(tmp_path / "agent"),
        "key_file": str(tmp_path / "agent" / "key"),
        "endpoint": f"tcp://{endpoint}",
        "key": upstream_key,
    }
    lines = [line.partition(" = ") for line in sample.splitlines()]
    edited = [f'{name} = "{changes[name]}"' if name in changes else name + sign + rest for name, sign, rest in lines]
    (tmp_path / "agent.toml").write_text("\n".join(edited))
    agent = subprocess.Popen(
        [sys.executable, "-m", "agent", "--config", str(tmp_path / "agent.toml")], cwd=CHECKOUT, stderr=subprocess.PIPE
    )
    try:
        key_file = tmp_path / "agent" / "key"
        wait_until(key_file.exists, 240, "the agent's key pair")
        public = re.search(r'public = "(\S{40})"', key_file.read_text())
        assert public is not None
        options = ("--role", "agent", "--name", "db1", "--source", source, "--data", str(gated.data))
        allowed = watchkeep("key", "allow", *options, public[1])
        assert allowed.returncode == 0, allowed.stderr
        api = gated.api()
        wait_until(
            lambda: any(h["name"] == "db1" and h["state"] == "up" for h in api.get("/hosts")["hosts"]),
            LET_IN_SECONDS,
            "the new host's values",
        )
        assert api.get("/hosts/db1")["templates"] == ["linux-host"]
    finally:
        agent.send_signal(signal.SIGTERM)
        _, said = agent.communicate(timeout=120)
    assert agent.returncode == 0, said


def test_the_gate_stays_the_same_at_the_next_start(gated: LocalWatchkeep) -> None:
    before = gated.proxy()
    assert gated.interrupt() == 0
    gated.start()
    assert gated.proxy() == before


@pytest.mark.parametrize("gate", ["everywhere", "127.0.0.1:0", "127.0.0.1:65535", "127.0.0.1:http", "[::1]:7701"])
def test_a_gate_that_cannot_be_is_told_with_what_was_expected(gate: str, tmp_path: Path) -> None:
    done = watchkeep("up", "--data", str(tmp_path / "data"), "--listen", gate)
    assert done.returncode == 2
    assert "expected an IPv4 address of this machine" in done.stderr


def test_a_taken_gate_is_named_with_the_way_out(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = watchkeep("up", "--port", "0", "--data", str(tmp_path / "data"), "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be used (Address already in use): choose another with --listen" in done.stderr
