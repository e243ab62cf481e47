"""The provers there are, by the kind of source; each is imported only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.errors import DrillFailed

if TYPE_CHECKING:
    from backup.proof.contract import Prover


def prover_of(source: str) -> Prover:
    """Return the prover of a kind of source, as a manifest names it. Raises DrillFailed when there is none."""
    if source == "paths":
        from backup.proof.paths import PathsProver  # noqa: PLC0415 - only what is used is imported

        return PathsProver()
    if source == "postgresql":
        from backup.proof.postgresql import PostgresqlProver  # noqa: PLC0415 - only what is used is imported

        return PostgresqlProver()
    if source == "postgresql-base":
        from backup.proof.postgresql_base import PostgresqlBaseProver  # noqa: PLC0415 - only what is used is imported

        return PostgresqlBaseProver()
    if source == "mariadb":
        from backup.proof.mariadb import MariadbProver  # noqa: PLC0415 - only what is used is imported

        return MariadbProver()
    if source == "mariadb-base":
        from backup.proof.mariadb_base import MariadbBaseProver  # noqa: PLC0415 - only what is used is imported

        return MariadbBaseProver()
    if source == "command":
        from backup.proof.command import CommandProver  # noqa: PLC0415 - only what is used is imported

        return CommandProver()
    if source == "image":
        from backup.proof.disks import ImageProver  # noqa: PLC0415 - only what is used is imported

        return ImageProver()
    if source == "libvirt":
        from backup.proof.disks import LibvirtProver  # noqa: PLC0415 - only what is used is imported

        return LibvirtProver()
    raise DrillFailed(f"nothing here can prove a backup of {source!r}: is it of a newer Watchkeep?")
