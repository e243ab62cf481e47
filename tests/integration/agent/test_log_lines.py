"""A real agent follows a real log: lines come when they are written, and a kill at any moment loses none."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.agent.process import SOURCE, agent_process, make_keys_of, write_settings
from tests.support.collecting import Desk, collecting
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


async def test_an_agent_killed_again_and_again_loses_no_line_and_tells_lines_between_its_due_reads(
    tmp_path: Path,
) -> None:
    keys = make_keys_of(tmp_path)
    file = tmp_path / "app.log"
    file.write_text("before the agent\n")
    parameters = {"path": str(file), "name": "app", "lines_per_second": 1000}
    desk = Desk()
    desk.document = {"probes": [{"probe": "log.file", "interval_seconds": 3600, "parameters": parameters}]}
    written = 0

    def write(count: int) -> None:
        nonlocal written
        with file.open("a", encoding="ascii") as log:
            for _ in range(count):
                written += 1
                log.write(f"line {written}\n")

    def told() -> set[str]:
        return set(desk.texts("log.line[app]"))

    def is_told(line: str) -> bool:
        return line in told()

    async with collecting(desk, source=SOURCE, agent=keys) as (collector, collector_keys):
        settings = write_settings(tmp_path, collector.control_port, collector_keys.public)
        settings.write_text(f'logs = ["{file}"]\n{settings.read_text()}')
        for life in range(4):
            async with agent_process(settings) as agent:
                await until(lambda: any((tmp_path / "data/probes").glob("log-*.json")), what="the first position")
                write(5)
                await until(partial(is_told, f"line {written}"), what="a line between two due reads")
                write(50)  # what of these was read, spooled or sent when it dies is chance
                if life == 2:
                    file.rename(tmp_path / "app.log.1")
                await agent.end(signal.SIGKILL)
            write(5)
        async with agent_process(settings) as agent:
            await until(lambda: len(told()) >= written, what="every line")
            assert await agent.end() == 0
    assert told() == {f"line {number}" for number in range(1, written + 1)}
