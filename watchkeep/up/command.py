"""`watchkeep up`: everything on this machine, with one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.runtime.logging import configure
from watchkeep.command_options import data_option
from watchkeep.installation import data_folder
from watchkeep.running import run_until_signal
from watchkeep.up.faults import UpError
from watchkeep.up.foreground import take_foreground
from watchkeep.up.layout import read_gate
from watchkeep.up.run import Wishes, run_up

if TYPE_CHECKING:
    from watchkeep.up.layout import Gate

_EPILOG = """\b
Examples:
  watchkeep up                       data in ./var, the page on port 8642
  watchkeep up --port 9000 --data /srv/wk
  watchkeep up --listen 0.0.0.0      other hosts' agents come in at port 7701
  make up ARGS="--port 9000"         from a checkout

Ctrl-C stops everything in order. Started again it goes on with its data.
Exit codes: 0 stopped by a signal, 1 something could not start.
"""


def _read_gate(context: click.Context, parameter: click.Parameter, text: str | None) -> Gate | None:
    try:
        return None if text is None else read_gate(text)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.command("up", epilog=_EPILOG)
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="The page's port; 0: any.")
@click.option(
    "--listen",
    metavar="ADDRESS[:PORT]",
    callback=_read_gate,
    help="Also take in agents of other hosts, at PORT (7701) and the next one; 0.0.0.0: at every address.",
)
@data_option
@click.option(
    "--ready-file", type=click.Path(path_type=Path), help="Write url, user, password, pids, dsn here as JSON."
)
def up_command(port: int, listen: Gate | None, data: Path | None, ready_file: Path | None) -> None:
    """Watch this machine: database, server, proxy, agent and page, enrolled with each other.

    All on loopback, unless --listen lets agents of other hosts in.
    """
    configure()
    take_foreground()
    try:
        run_until_signal(run_up(Wishes(data=data_folder(data), port=port, gate=listen, ready_file=ready_file)))
    except* UpError as group:
        click.echo(f"watchkeep: {group.exceptions[0]}", err=True)
        raise SystemExit(1) from group
