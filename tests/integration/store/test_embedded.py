from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from server.store.database import DatabaseOptions
from server.store.embedded import EmbeddedError, EmbeddedPostgres
from server.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator


def _public_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-embedded-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(params=["open to all", "open to its owner only"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A data folder below a folder that everybody, or only we, may enter: as root these take different ways."""
    parent = _public_folder()
    if request.param != "open to all":
        parent.chmod(0o700)
    yield parent / "data with ' and space"
    shutil.rmtree(parent)


def _value(postgres: EmbeddedPostgres, statement: str) -> object:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def _uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def test_it_starts_keeps_its_data_and_never_runs_as_root(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        assert _value(postgres, "SELECT current_setting('is_superuser')") == "off"
        assert _value(postgres, "SHOW listen_addresses") == "127.0.0.1"
        assert _value(postgres, "SHOW synchronous_commit") == "on"
        capabilities = Path(f"/proc/{postgres.pid}/status").read_text().split("CapEff:")[1].split()[0]
        assert int(capabilities, 16) == 0
        if os.geteuid() == 0 and not postgres.account.prefix[0].startswith("unshare"):
            assert _uid_of(postgres.pid) != 0
        pid = postgres.pid
    assert not Path(f"/proc/{pid}").exists()
    assert not postgres.is_alive()
    with EmbeddedPostgres(folder) as postgres:
        assert _value(postgres, "SELECT answer FROM kept") == 42


def test_a_wrong_or_missing_password_is_refused(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        for parameters in ({"password": "wrong"}, {"password": "wrong", "user": "postgres"}):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(postgres.dsn, **parameters)  # type: ignore[arg-type]  # connection parameters
        for secret in ("password", "superuser-password"):
            assert (folder / secret).stat().st_mode & 0o077 == 0


def test_after_kill_dash_nine_it_recovers_what_was_committed(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(postgres.pid, signal.SIGKILL)
    with EmbeddedPostgres(folder) as again:
        assert _value(again, "SELECT answer FROM kept") == 42
    assert not postgres.is_alive()


def test_a_start_waits_for_children_of_a_killed_server_that_are_slow_to_go(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    again = EmbeddedPostgres(folder)
    with psycopg.connect(postgres.dsn) as connection, ThreadPoolExecutor(1) as pool:
        slow = connection.info.backend_pid
        os.kill(slow, signal.SIGSTOP)
        os.kill(postgres.pid, signal.SIGKILL)
        start = pool.submit(again.start)
        with pytest.raises(TimeoutError):  # it goes on trying; an error would come out
            start.result(timeout=4)
        os.kill(slow, signal.SIGCONT)
        start.result(timeout=90)
    assert _value(again, "SELECT 1") == 1
    again.stop()
    assert not postgres.is_alive()


def test_a_stale_pid_file_with_the_number_of_a_living_process_does_not_stop_the_start(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        pid_file = (folder / "cluster" / "postmaster.pid").read_text()
        old = str(postgres.pid)
    with subprocess.Popen(["sleep", "600"]) as innocent:
        (folder / "cluster" / "postmaster.pid").write_text(pid_file.replace(old, str(innocent.pid), 1))
        with EmbeddedPostgres(folder) as postgres:
            assert _value(postgres, "SELECT 1") == 1
        assert innocent.poll() is None, "the process that has the number now was ended"
        innocent.kill()


def test_a_database_whose_launcher_was_killed_is_adopted(folder: Path) -> None:
    first = EmbeddedPostgres(folder)
    first.start()
    with EmbeddedPostgres(folder) as second:
        assert second.pid == first.pid
        assert second.dsn == first.dsn
    assert not first.is_alive()
    first.stop()


def test_a_half_made_cluster_is_made_anew(folder: Path) -> None:
    (folder / "cluster.new" / "base").mkdir(parents=True)
    with EmbeddedPostgres(folder) as postgres:
        assert _value(postgres, "SELECT 1") == 1


def test_a_start_that_fails_says_why(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    (folder / "cluster" / "local.conf").write_text("shared_buffers = 'lots'\n")
    with pytest.raises(EmbeddedError, match="shared_buffers"):
        EmbeddedPostgres(folder).start()


async def test_our_role_may_migrate(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        options = DatabaseOptions(dsn=postgres.dsn, server="one")
        assert await migrate(options)
        assert await migrate(options) == []
