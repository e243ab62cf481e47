"""The connection strings that name a database of MariaDB or MySQL to load into."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from backup.errors import DestinationInUse
from backup.runtime.private_folder import temporary_file
from backup.settings.source import MariadbSettings, MysqlSettings
from backup.sources.mysql.client import MYSQL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.source import MysqlLogin

_MORE: Final = frozenset({"socket", "option_file", "binaries"})


def read_dsn(dsn: str, kind: str) -> tuple[MysqlLogin, str]:
    """Return settings and password of mariadb://USER:PASSWORD@HOST:PORT/DATABASE?socket=PATH. Raises DestinationInUse.

    kind: of what was saved, `mariadb` or `mysql`, whose programs are used. `option_file=PATH` names a file that has the
    password; without either the client's own (~/.my.cnf) counts. `binaries=PATH`: the folder of the programs.
    """
    expected = (
        f"the connection string cannot be read: expected {kind}://USER:PASSWORD@HOST:PORT/DATABASE, with ?socket=PATH,"
        " ?option_file=PATH or ?binaries=PATH if need be"
    )
    try:
        found = urlsplit(dsn)
        port = found.port or 3306
        more = {name: Path(value) for name, value in parse_qsl(found.query, strict_parsing=bool(found.query))}
    except ValueError as error:
        raise DestinationInUse(expected) from error
    database = unquote(found.path.removeprefix("/"))
    if found.scheme not in ("mariadb", "mysql") or not database or not more.keys() <= _MORE:
        raise DestinationInUse(expected)
    settings = (MysqlSettings if kind == MYSQL.kind else MariadbSettings)(
        database=database,
        host=found.hostname or "localhost",
        port=port,
        user=unquote(found.username or "root"),
        socket=more.get("socket"),
        option_file=more.get("option_file"),
        binaries=more.get("binaries"),
    )
    return settings, unquote(found.password or "")


@contextmanager
def logged_in(dsn: str, kind: str) -> Iterator[MysqlLogin]:
    """Yield settings whose password, if there is one, lies in a private file for as long as this lasts."""
    settings, password = read_dsn(dsn, kind)
    if not password:
        yield settings
        return
    escaped = password.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    with temporary_file(f'[client]\npassword="{escaped}"\n') as file:
        yield replace(settings, option_file=file)
