"""`watchkeep server`: runs a server, active or standby."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.config.reader import ConfigError, read_config
from core.config.sample import sample_file
from core.runtime.clock import SystemClock
from core.runtime.logging import configure
from core.security.keys import KeyFault
from dashboards.serving import serve_pages
from server.daemon import Replaced, run_server
from server.settings import ServerSettings
from server.store.errors import StoreError
from watchkeep.running import run_until_signal

if TYPE_CHECKING:
    from collections.abc import Callable

_EPILOG = """\b
Examples:
  watchkeep server --sample > server.toml     a configuration to start from
  watchkeep server --config server.toml
\b
Exit codes: 0 ended by a signal, 1 cannot run, 2 wrong configuration,
3 another server took over (start it again: it becomes a standby).
"""


@click.command("server", epilog=_EPILOG)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The TOML file to run by.")
@click.option("--sample", is_flag=True, help="Print a configuration file to start from.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Write the page's URL here once it is served.")
def server_command(config: Path | None, *, sample: bool, ready_file: Path | None) -> None:
    """Run a server until SIGTERM or SIGINT. Several with one database make an active one and standbys."""
    if sample:
        click.echo(sample_file(ServerSettings), nl=False)
        return
    if config is None:
        raise click.UsageError("give --config FILE, or --sample to see what belongs into it")
    try:
        settings = read_config(config, ServerSettings)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from error
    configure(is_json=settings.log == "json")
    try:
        run_until_signal(run_server(settings, SystemClock(), pages=serve_pages(), ready=_write_to(ready_file)))
    except* Replaced as group:
        click.echo(f"watchkeep: {group.exceptions[0]}", err=True)
        raise SystemExit(3) from group
    except* (StoreError, KeyFault, OSError) as group:
        click.echo(f"watchkeep: {group.exceptions[0]}", err=True)
        raise SystemExit(1) from group


def _write_to(path: Path | None) -> Callable[[str], None]:
    def write(url: str) -> None:
        if path is not None:
            path.write_text(url + "\n")

    return write
