"""What the commands that run a daemon have in common: reading its configuration, running until a signal says stop."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from core.config.reader import ConfigError, read_config
from core.config.sample import sample_file

if TYPE_CHECKING:
    from collections.abc import Coroutine

Settings = TypeVar("Settings")

config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="The TOML file to run by."
)
sample_option = click.option("--sample", is_flag=True, help="Print a configuration file to start from.")


def settings_of(config: Path | None, kind: type[Settings], *, sample: bool) -> Settings:
    """Return the settings of the file; ends the program when it is faulty (2) or only a sample was asked for (0)."""
    if sample:
        click.echo(sample_file(kind), nl=False)
        raise SystemExit(0)
    if config is None:
        raise click.UsageError("give --config FILE, or --sample to see what belongs into it")
    try:
        return read_config(config, kind)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from error


def run_until_signal(daemon: Coroutine[Any, Any, Any]) -> None:
    """Run until it ends or SIGTERM or SIGINT cancels it; its own exceptions come out, as exception groups too."""
    asyncio.run(_run(daemon))


async def _run(daemon: Coroutine[Any, Any, Any]) -> None:
    task = asyncio.ensure_future(daemon)
    is_stopped = False

    def stop() -> None:
        nonlocal is_stopped
        is_stopped = True
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not is_stopped:
            raise
