"""The provers there are, by the kind of source; each is imported only when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from backup.errors import DrillFailed

if TYPE_CHECKING:
    from backup.proof.contract import Prover

_PROVERS: Final = {
    "paths": "backup.proof.paths:PathsProver",
    "postgresql": "backup.proof.postgresql:PostgresqlProver",
    "postgresql-base": "backup.proof.postgresql_base:PostgresqlBaseProver",
    "mariadb": "backup.proof.mariadb:MariadbProver",
    "mariadb-base": "backup.proof.mariadb_base:MariadbBaseProver",
    "mysql": "backup.proof.mysql:MysqlProver",
    "command": "backup.proof.command:CommandProver",
    "image": "backup.proof.disks:ImageProver",
    "libvirt": "backup.proof.disks:LibvirtProver",
}
"""The class of each."""


def prover_of(source: str) -> Prover:
    """Return the prover of a kind of source, as a manifest names it. Raises DrillFailed when there is none."""
    place = _PROVERS.get(source)
    if place is None:
        raise DrillFailed(f"nothing here can prove a backup of {source!r}: is it of a newer Watchkeep?")
    module, _, name = place.partition(":")
    prover: Prover = getattr(import_module(module), name)()
    return prover
