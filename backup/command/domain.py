"""`bkp restore --domain`: a new libvirt domain made of what is restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backup.restoring.machines import define_domain, demand_free

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backup.model import Manifest


def domain_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --domain and --connect, which the function gets as `domain` and `connect`."""
    connect = click.option(
        "--connect",
        metavar="URI",
        default="qemu:///system",
        envvar="LIBVIRT_DEFAULT_URI",
        show_default=True,
        help="The libvirt for --domain.",
    )
    name = click.option("--domain", metavar="NAME", help="Define this new libvirt domain, off, from the one saved.")
    return name(connect(command))


def demand_free_name(manifest: Manifest, domain: str | None, uri: str) -> None:
    """Return when no domain is wanted, or this one can be. Raises NotInBackup, DestinationInUse."""
    if domain is not None:
        demand_free(manifest, domain, uri)


def define(manifest: Manifest, folder: Path, domain: str | None, uri: str, seconds: float) -> dict[str, Any] | None:
    """Define the domain that is wanted; return what was made. Raises as `define_domain`."""
    return None if domain is None else define_domain(manifest, folder, domain, uri, seconds)


def tell_domain(defined: dict[str, Any] | None) -> None:
    """Say what was made, and what it lacks."""
    if defined is not None:
        click.echo(f"Defined domain {defined['domain']} ({defined['uuid']}), off: virsh start {defined['domain']}")
        for each in defined["lacks"]:
            click.echo(f"bkp: it lacks {each}", err=True)
