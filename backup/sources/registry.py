"""The kinds of sources there are; each is imported only when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from backup.errors import ConfigInvalid
from backup.settings.backup_set import SOURCE_KINDS

if TYPE_CHECKING:
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.sources.contract import Source

_BY_PROGRAMS: Final = {
    "postgresql": "backup.sources.postgresql.dump:PostgresqlSource",
    "postgresql_base": "backup.sources.postgresql.base:PostgresqlBaseSource",
    "mariadb": "backup.sources.mysql.mariadb:MariadbSource",
    "mariadb_base": "backup.sources.mysql.mariadb_base:MariadbBaseSource",
    "mysql": "backup.sources.mysql.mysql:MysqlSource",
    "command": "backup.sources.command:CommandSource",
}
"""Kinds that run a program, which the set's time limit ends, with the class of each."""


def source_of(settings: BackupSettings, chosen: SetSettings) -> Source:
    """Return the source of a set. Raises ConfigInvalid when it has none: it can be restored here, not saved."""
    if chosen.paths is not None:
        from backup.sources.files.own_places import own_places  # noqa: PLC0415 - only what is used is imported
        from backup.sources.files.paths import PathsSource  # noqa: PLC0415 - only what is used is imported

        own = own_places(settings, chosen)
        return PathsSource(chosen.paths, side_by_side=chosen.side_by_side, own=own)
    if chosen.libvirt is not None:
        from backup.sources.disks.libvirt import LibvirtSource  # noqa: PLC0415 - only what is used is imported

        return LibvirtSource(chosen.libvirt)
    if chosen.image is not None:
        from backup.sources.disks.image import ImageSource  # noqa: PLC0415 - only what is used is imported

        return ImageSource(chosen.image)
    for kind in chosen.sources:
        module, _, name = _BY_PROGRAMS[kind].partition(":")
        make = getattr(import_module(module), name)
        source: Source = make(getattr(chosen, kind), time_limit_seconds=chosen.time_limit.total_seconds())
        return source
    kinds = ", ".join(f"[sets.{kind}]" for kind in SOURCE_KINDS)
    raise ConfigInvalid(f"set {chosen.name!r} does not say what to save; give it one of {kinds}")
