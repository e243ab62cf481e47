"""A real agent process delivers to a real collector, and comes through what an administrator does to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.settings import AgentSettings
from core.config.reader import read_config
from core.model.record import Kind, RecordError, iterate
from core.spool.segment import START
from core.spool.spool import Spool, SpoolLimits
from core.wire.curve import make_keys
from tests.integration.agent.process import CHECKOUT, SOURCE, agent_process, make_keys_of, write_settings
from tests.support.collecting import Desk, collecting
from tests.support.waiting import until

QUICK: dict[str, Any] = {
    "probes": [{"probe": name, "interval_seconds": 0.5} for name in ("cpu", "memory", "processes", "agent")]
}


async def test_an_agent_delivers_all_probes_of_the_host_without_being_told(tmp_path: Path) -> None:
    desk = Desk()
    async with collecting(desk, source=SOURCE, agent=make_keys_of(tmp_path)) as (collector, keys):
        async with agent_process(write_settings(tmp_path, collector.control_port, keys.public)) as agent:
            wanted = {
                "cpu.busy", "memory.available", "processes.total", "filesystem.used_percent[/]", "agent.memory",
                "agent.probe_status[cpu]",
            }  # fmt: skip
            await until(lambda: wanted <= desk.items().keys(), what="the first rate and everything else")
            assert desk.texts("agent.probe_status[cpu]") == ["ok"]
            hello = desk.hellos[0]
            assert (hello.role, hello.name, hello.source) == ("agent", "host-a", SOURCE.bytes)
            assert await agent.end() == 0
        await until(lambda: bool(desk.goodbyes), what="the goodbye")


def kinds_held(folder: Path) -> set[Kind]:
    """Return which kinds of records lie in the spool of an agent that runs."""
    found: set[Kind] = set()
    for segment in (folder / "data/spool").glob("*.segment"):
        content = segment.read_bytes()[START:]
        with suppress(RecordError):  # it is being written
            found |= {header.kind for _, header in iterate(content)}
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_with_a_closing_record_on_disk(tmp_path: Path, number: signal.Signals) -> None:
    make_keys_of(tmp_path)
    async with agent_process(write_settings(tmp_path, 1, make_keys().public)) as agent:  # nobody listens there
        await until(lambda: Kind.VALUES in kinds_held(tmp_path), what="the first values")
        assert await agent.end(number) == 0
    spool = Spool.open(tmp_path / "data/spool", SpoolLimits())
    held = spool.read(spool.begin, 1 << 20)
    spool.close()
    assert held is not None
    kinds = [header.kind for _, header in iterate(held.data)]
    assert kinds[0] == Kind.DICTIONARY
    assert Kind.VALUES in kinds
    assert kinds[-1] == Kind.CLOSING


async def test_what_was_sampled_while_nobody_listened_comes_with_the_next_start(tmp_path: Path) -> None:
    keys = make_keys_of(tmp_path)
    async with agent_process(write_settings(tmp_path, 1, make_keys().public)) as agent:
        await until(lambda: Kind.VALUES in kinds_held(tmp_path), what="the first values")
        await agent.end(signal.SIGKILL)
    desk = Desk()
    async with (
        collecting(desk, source=SOURCE, agent=keys) as (collector, collector_keys),
        agent_process(write_settings(tmp_path, collector.control_port, collector_keys.public)) as agent,
    ):
        await until(lambda: len({boot for boot, _ in desk.records}) == 2, what="the records of both lives")
        await until(lambda: Kind.CLOSING in desk.kinds(), what="the end of the first life")
        assert await agent.end() == 0


async def test_a_document_applies_at_once_says_what_it_cannot_do_and_survives_a_restart(tmp_path: Path) -> None:
    keys = make_keys_of(tmp_path)
    desk = Desk(epoch=7)
    desk.document = {"probes": [*QUICK["probes"], {"probe": "weather", "interval_seconds": 1}]}
    async with collecting(desk, source=SOURCE, agent=keys) as (collector, collector_keys):
        settings = write_settings(tmp_path, collector.control_port, collector_keys.public)
        async with agent_process(settings) as agent:
            await until(lambda: bool(desk.answers), what="the answer")
            assert (desk.answers[0].version, desk.answers[0].error) == (
                1, "probes[4] (weather): this agent has no such probe",
            )  # fmt: skip
            await until(lambda: are_close(desk.instants("cpu.busy"), 3), what="three rates at the pace it was told")
            await desk.configure(keys.public, {"probes": []}, epoch=6)
            await desk.configure(keys.public, {"probes": "none"})
            await until(lambda: len(desk.answers) == 2, what="the second answer")
            assert (desk.answers[1].version, desk.answers[1].error) == (
                3, '"probes" shall be a list of at most 1000',
            )  # fmt: skip
            assert await agent.end() == 0
        remembered = json.loads((tmp_path / "data/remembered.json").read_text())
        assert (remembered["epoch"], remembered["version"]) == (7, 1)
        desk.document = None
        before = len(desk.instants("cpu.busy"))
        async with agent_process(settings) as agent:
            await until(
                lambda: are_close(desk.instants("cpu.busy")[before:], 3), what="three rates at the remembered pace"
            )
            assert desk.hellos[-1].configuration == 1
            assert desk.hellos[-1].epoch == 7
            assert await agent.end() == 0


def are_close(instants: list[int], count: int) -> bool:
    """Tell whether so many samples lie within five seconds; untold, an agent takes one in ten seconds."""
    return any(last - first < 5_000_000 for first, last in zip(instants, instants[count - 1 :], strict=False))


def unprivileged_prefix() -> tuple[str, ...]:
    """Return the words that take root's powers from a command, though the tree may be open to root only.

    In a user namespace with another user mapped onto ours the files stay readable and no capability is left.
    """
    return () if os.geteuid() else ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


async def test_a_normal_user_suffices(tmp_path: Path) -> None:
    desk = Desk()
    desk.document = {"probes": [*QUICK["probes"], {"probe": "filesystems", "interval_seconds": 0.5}]}
    async with collecting(desk, source=SOURCE, agent=make_keys_of(tmp_path)) as (collector, keys):
        settings = write_settings(tmp_path, collector.control_port, keys.public)
        async with agent_process(settings, prefix=unprivileged_prefix()) as agent:
            probes = ("cpu", "memory", "processes", "agent", "filesystems")
            wanted = {"cpu.busy", "agent.memory", *(f"agent.probe_status[{probe}]" for probe in probes)}
            await until(lambda: wanted <= desk.items().keys(), what="the first rate, and word of every probe")
            status = dict(
                line.split(":\t", 1)
                for line in (await asyncio.to_thread(_status_of, agent.pid)).splitlines()
                if ":\t" in line
            )
            assert int(status["CapEff"], 16) == 0
            for probe in probes:
                assert desk.texts(f"agent.probe_status[{probe}]") == ["ok"]
            assert await agent.end() == 0


def _status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ("nam = 1\n", 2, "agent.toml: nam: unknown setting"),
        (None, 2, "agent.toml: cannot be read: No such file or directory"),
        ("data = ", 2, "is not valid TOML"),
    ],
)
def test_a_broken_configuration_ends_it_with_a_message_that_names_the_place(
    tmp_path: Path, content: str | None, status: int, message: str
) -> None:
    if content is not None:
        (tmp_path / "agent.toml").write_text(content)
    found = _run("--config", str(tmp_path / "agent.toml"))
    assert found.returncode == status
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_a_key_that_others_can_read_ends_it_with_the_remedy(tmp_path: Path) -> None:
    make_keys_of(tmp_path)
    (tmp_path / "key").chmod(0o644)
    found = _run("--config", str(write_settings(tmp_path, 1, make_keys().public)))
    assert found.returncode == 1
    assert "chmod 600" in found.stderr
    assert "Traceback" not in found.stderr


async def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    make_keys_of(tmp_path)
    settings = write_settings(tmp_path, 1, make_keys().public)
    async with agent_process(settings):
        await until(lambda: any((tmp_path / "data/spool").glob("*.segment")), what="the first record")
        found = await asyncio.to_thread(_run, "--config", str(settings))
        assert found.returncode == 1
        assert str(tmp_path / "data/spool") in found.stderr
        assert "Traceback" not in found.stderr


def test_help_and_sample_come_from_the_declaration(tmp_path: Path) -> None:
    sample = _run("--sample").stdout
    (tmp_path / "agent.toml").write_text(sample)
    assert read_config(tmp_path / "agent.toml", AgentSettings).name == "db1"
    assert "spool_limit: room on disk" in _run("--help").stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
