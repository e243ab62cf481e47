"""The agent's probe asks a real PostgreSQL which databases it has, as the account its socket belongs to."""

from __future__ import annotations

import json
import pwd
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from probes.inventory import Parameters, read_inventory
from tests.support.waiting import wait_until
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from tests.support.postgres import DatabaseServer


@contextmanager
def as_debian_lets_in(connection: Connection[Any], account: str) -> Iterator[None]:
    """Let an account of the machine in by its socket, as the role of its name."""
    rules = Path(_one(connection, "SHOW hba_file"))
    before = rules.read_text()
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(sql.Identifier(account)))
    try:
        rules.write_text(f"local all {account} peer\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        yield
    finally:
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(account)))


def test_databases_of_users_are_named_and_a_server_that_lets_nobody_in_is_named_as_unknown(
    embedded: DatabaseServer,
) -> None:
    with (
        psycopg.connect(embedded.superuser_dsn, autocommit=True) as connection,
        embedded.fresh_database() as dsn,
        psycopg.connect(dsn) as fresh,
    ):
        folder = _one(connection, "SHOW unix_socket_directories")
        socket = f"{folder}/.s.PGSQL.{_one(connection, 'SHOW port')}"
        account = pwd.getpwuid(Path(socket).stat().st_uid).pw_name
        reader = Reader(read_inventory, parameters=Parameters(postgresql=(folder,), mariadb=(), libvirt=()))
        said = json.loads(str(reader.read()["inventory.databases"]))
        assert (said["servers"], said["unknown"]) == ([], [socket])
        assert f"asked as {account}: psql: error" in reader.failures[0]
        with as_debian_lets_in(connection, account):
            wait_until(lambda: reader.read() != {} and not reader.failures, 60, "the rules to be in force")
            (server,) = json.loads(str(reader.read()["inventory.databases"]))["servers"]
            assert fresh.info.dbname in server["names"]
            assert not {"template0", "template1", "postgres"} & set(server["names"])
            assert server["port"] == int(_one(connection, "SHOW port"))
            assert (server["engine"], server["is_replica"]) == ("postgresql", False)
            assert server["folder"] == _one(connection, "SHOW data_directory")
            connection.execute("CREATE TABLE somebodys (word text)")
            try:
                (server,) = json.loads(str(reader.read()["inventory.databases"]))["servers"]
                assert "postgres" in server["names"]  # somebody uses it
            finally:
                connection.execute("DROP TABLE somebodys")


def _one(connection: Connection[Any], statement: str) -> str:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return str(row[0])
