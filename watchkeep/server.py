"""`watchkeep server`: runs a server, active or standby."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.runtime.clock import SystemClock
from core.runtime.lazy_commands import LazyGroup, Place
from core.runtime.logging import configure
from core.security.keys import KeyFault
from core.wire.collector import CollectorFault
from dashboards.serving import serve_pages
from server.api.port import PortUnusable
from server.daemon import run_server
from server.lease.candidacy import REPLACED_EXIT_CODE, Replaced
from server.settings import ServerSettings
from server.store.errors import StoreError
from watchkeep.running import config_option, run_until_signal, sample_option, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

_EPILOG = """\b
Examples:
  watchkeep server --sample > server.toml    a configuration to start from
  watchkeep server --config server.toml
  watchkeep server handover                  let the standby take over

Exit codes: 0 ended by a signal, 1 cannot run, 2 wrong configuration,
3 another server took over (start it again: it becomes a standby).
"""


@click.group(
    "server",
    cls=LazyGroup,
    places={"handover": Place("watchkeep.handover:handover_command", "Let a standby take over.")},
    invoke_without_command=True,
    epilog=_EPILOG,
)
@config_option
@sample_option
@click.option("--ready-file", type=click.Path(path_type=Path), help="Write the page's URL here once it is served.")
@click.pass_context
def server_command(context: click.Context, config: Path | None, *, sample: bool, ready_file: Path | None) -> None:
    """Run a server until SIGTERM or SIGINT. Several with one database make an active one and standbys.

    The active one hands over to a standby as it ends.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_of(config, ServerSettings, sample=sample)
    configure(is_json=settings.log == "json")
    try:
        run_until_signal(run_server(settings, SystemClock(), pages=serve_pages(), ready=_write_to(ready_file)))
    except* Replaced as group:
        _end(group, REPLACED_EXIT_CODE)
    except* (StoreError, KeyFault, CollectorFault, PortUnusable, OSError) as group:
        _end(group, 1)


def _end(group: BaseExceptionGroup[Exception], code: int) -> None:
    """End the program with what went wrong first."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    click.echo(f"watchkeep: {error}", err=True)
    raise SystemExit(code) from group


def _write_to(path: Path | None) -> Callable[[str], None]:
    def write(url: str) -> None:
        if path is not None:
            draft = path.with_suffix(path.suffix + ".new")
            draft.write_text(url + "\n")
            draft.replace(path)  # in one step: who waits for the file finds the address in it

    return write
