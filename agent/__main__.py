"""The program `watchkeep-agent`."""

from __future__ import annotations

import agent.lean  # noqa: F401 - first: it decides what asyncio loads  # isort: skip
import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.daemon import run_agent
from agent.settings import AgentSettings
from core.config.reader import ConfigError, read_config
from core.runtime.clock import SystemClock
from core.runtime.logging import configure
from core.runtime.reading_right import put_away
from core.security.keys import KeyFault
from core.spool.faults import SpoolFault
from probes.registry import find_probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.document import FindProbe


def main(arguments: Sequence[str] | None = None, find: FindProbe = find_probe) -> int:
    """Run the agent until SIGTERM or SIGINT, with the probes `find` finds.

    Returns 0 after a clean end, 1 when its folder or key cannot be used, 2 when its configuration is wrong.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["join"]:
        from agent.join import main as join  # noqa: PLC0415 - a running agent does without it

        return join(words[1:])
    chosen = _parser(words)
    if chosen.sample:
        from core.config.sample import sample_file  # noqa: PLC0415 - a running agent does without it

        sys.stdout.write(sample_file(AgentSettings))
        return 0
    try:
        settings = read_config(chosen.config, AgentSettings)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure(is_json=settings.log == "json")
    put_away()
    try:
        asyncio.run(_run_until_signal(settings, find))
    except (KeyFault, SpoolFault) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run_until_signal(settings: AgentSettings, find: FindProbe) -> None:
    running = asyncio.create_task(run_agent(settings, SystemClock(), find=find), name="agent")
    stopped = []

    def stop() -> None:
        stopped.append(True)
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    gc.freeze()  # what was loaded stays: the collector need not walk it again
    try:
        await running
    except asyncio.CancelledError:
        if not stopped:
            raise


def _parser(words: Sequence[str]) -> argparse.Namespace:
    epilog = None
    if "-h" in words or "--help" in words:
        from core.config.sample import settings_help  # noqa: PLC0415 - a running agent does without it

        epilog = "settings of the configuration file:\n" + settings_help(AgentSettings)
    parser = argparse.ArgumentParser(
        prog="watchkeep-agent",
        description="Samples this host and delivers what it found. `watchkeep-agent join --help`: become known first.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE", help="the TOML file to run by")
    what.add_argument("--sample", action="store_true", help="print a configuration file to start from")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
