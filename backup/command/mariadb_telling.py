"""How `bkp restore` tells of a MariaDB server's files that a server can be started on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backup.sources.mysql.mariadb_base import DATA_FOLDER
from backup.sources.mysql.mariadb_situation import DEFAULTS, series_of

if TYPE_CHECKING:
    from pathlib import Path

    from backup.model import Manifest


def server_document(manifest: Manifest, restored: Path) -> dict[str, Any]:
    """Return what programs are told: `settings` are those that are not the server's defaults."""
    record = manifest.consistency
    settings = record.get("settings")
    return {
        "folder": str(restored / DATA_FOLDER),
        "version": str(record.get("server_version")),
        "settings": {
            name: str(settings.get(name))
            for name, usual in DEFAULTS.items()
            if isinstance(settings, dict) and settings.get(name) != usual
        },
        **{name: record.get(name) for name in ("binlog_file", "binlog_position", "gtid")},
    }


def tell_server(document: dict[str, Any]) -> None:
    """Tell people what is left to do."""
    if document["binlog_file"] is not None:
        gtid = f", GTID {document['gtid']}" if document["gtid"] else ""
        click.echo(
            f"As of {document['binlog_file']}, position {document['binlog_position']}{gtid}; no binary log is in it."
        )
    with_settings = "".join(f", {name} = {value}" for name, value in document["settings"].items())
    click.echo(
        f"Start MariaDB {series_of(document['version'])} on {document['folder']}: chown it to the server's user, name"
        f" it as datadir{with_settings}. The server's own configuration is not in it."
    )
