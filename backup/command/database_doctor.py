"""What `bkp doctor` says of databases that are dumped here: whether programs, server and rights are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.command.finding import Finding
from backup.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.document import BackupSettings, SetSettings


def examine_database(settings: BackupSettings, chosen: SetSettings) -> Iterator[Finding]:
    """Yield how the MariaDB or MySQL of a set is; nothing of a set of another kind."""
    if chosen.mariadb is None and chosen.mysql is None:
        return
    from backup.sources.dumped_database import DumpedDatabase  # noqa: PLC0415 - only what is used is imported
    from backup.sources.registry import source_of  # noqa: PLC0415 - only what is used is imported

    source = source_of(settings, chosen)
    assert isinstance(source, DumpedDatabase)  # noqa: S101 - for the type checker
    what = f"set {chosen.name}"
    try:
        yield Finding(what=what, level="ok", text=source.examine())
    except BackupError as error:
        yield Finding(what=what, level="fault", text=str(error), remedy="mend that: its next run would fail by it")
