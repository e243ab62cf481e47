"""The kinds of sources there are; each is imported only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.errors import ConfigInvalid
from backup.settings.document import SOURCE_KINDS

if TYPE_CHECKING:
    from backup.settings.document import BackupSettings, SetSettings
    from backup.sources.contract import Source


def source_of(settings: BackupSettings, chosen: SetSettings) -> Source:
    """Return the source of a set. Raises ConfigInvalid when it has none: it can be restored here, not saved."""
    if chosen.paths is not None:
        from backup.sources.own_places import own_places  # noqa: PLC0415 - only what is used is imported
        from backup.sources.paths import PathsSource  # noqa: PLC0415 - only what is used is imported

        own = own_places(settings, chosen)
        return PathsSource(chosen.paths, side_by_side=chosen.side_by_side, own=own)
    if chosen.postgresql is not None:
        from backup.sources.postgresql import PostgresqlSource  # noqa: PLC0415 - only what is used is imported

        return PostgresqlSource(chosen.postgresql, time_limit_seconds=chosen.time_limit.total_seconds())
    if chosen.postgresql_base is not None:
        from backup.sources.postgresql_base import PostgresqlBaseSource  # noqa: PLC0415 - only what is used is imported

        return PostgresqlBaseSource(chosen.postgresql_base, time_limit_seconds=chosen.time_limit.total_seconds())
    if chosen.mariadb is not None:
        from backup.sources.mariadb import MariadbSource  # noqa: PLC0415 - only what is used is imported

        return MariadbSource(chosen.mariadb, time_limit_seconds=chosen.time_limit.total_seconds())
    if chosen.mariadb_base is not None:
        from backup.sources.mariadb_base import MariadbBaseSource  # noqa: PLC0415 - only what is used is imported

        return MariadbBaseSource(chosen.mariadb_base, time_limit_seconds=chosen.time_limit.total_seconds())
    if chosen.command is not None:
        from backup.sources.command import CommandSource  # noqa: PLC0415 - only what is used is imported

        return CommandSource(chosen.command, time_limit_seconds=chosen.time_limit.total_seconds())
    if chosen.libvirt is not None:
        from backup.sources.libvirt import LibvirtSource  # noqa: PLC0415 - only what is used is imported

        return LibvirtSource(chosen.libvirt)
    if chosen.image is not None:
        from backup.sources.image import ImageSource  # noqa: PLC0415 - only what is used is imported

        return ImageSource(chosen.image)
    kinds = ", ".join(f"[sets.{kind}]" for kind in SOURCE_KINDS)
    raise ConfigInvalid(f"set {chosen.name!r} does not say what to save; give it one of {kinds}")
