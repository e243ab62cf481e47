"""`watchkeep proxy`: runs a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from core.runtime.clock import SystemClock
from core.runtime.logging import configure
from core.security.keys import KeyFault
from core.spool.faults import SpoolFault
from core.wire.collector import CollectorFault
from proxy.daemon import run_proxy
from proxy.settings import ProxySettings
from watchkeep.running import config_option, run_until_signal, sample_option, settings_of

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\b
Examples:
  watchkeep proxy --sample > proxy.toml     a configuration to start from
  watchkeep proxy --config proxy.toml

Exit codes: 0 ended by a signal, 1 cannot run, 2 wrong configuration.
"""


@click.command("proxy", epilog=_EPILOG)
@config_option
@sample_option
def proxy_command(config: Path | None, *, sample: bool) -> None:
    """Run a proxy until SIGTERM or SIGINT: it takes agents in, keeps what they send, forwards it."""
    settings = settings_of(config, ProxySettings, sample=sample)
    configure(is_json=settings.log == "json")
    try:
        run_until_signal(run_proxy(settings, SystemClock()))
    except (KeyFault, SpoolFault, CollectorFault) as error:
        click.echo(f"watchkeep: {error}", err=True)
        raise SystemExit(1) from error
