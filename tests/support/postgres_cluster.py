"""A PostgreSQL cluster whose WAL is archived by `bkp wal put`, and others started on what was restored of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

from core.runtime.account import account_for, hand_over
from core.runtime.ports import free_port
from server.store.embedded import EmbeddedPostgres, binaries
from tests.support.backup_site import CHECKOUT, backup_site
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.runtime.account import Account
    from tests.support.backup_site import BackupSite

SET = "cluster"
_READY_SECONDS = 300.0  # it fetches its WAL by a program of its own a file


@dataclass(frozen=True, kw_only=True)
class ArchivedCluster:
    """The cluster, and the site its base backups and WAL go to."""

    postgres: EmbeddedPostgres
    site: BackupSite
    store: Path

    @property
    def folder(self) -> Path:
        return self.postgres.folder / "cluster"

    @property
    def wal(self) -> Path:
        """Where the cluster's WAL lies at the target."""
        (place,) = (self.store / "web1" / SET / "wal").iterdir()
        return place

    def as_owner(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call the host's `bkp` as the cluster's own user."""
        return subprocess.run(
            [*self.postgres.account.prefix, sys.executable, "-m", "backup.command", *arguments, "--config",
             str(self.site.host)],
            cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def sql(self, statement: str) -> Any:
        """Run a statement as the superuser; return the first value it gives."""
        return ask(self.postgres.superuser_dsn, statement)

    def end_segment(self) -> str:
        """End the current segment; return its name."""
        self.sql("SELECT pg_create_restore_point('an empty segment would not end')")
        return str(self.sql("SELECT pg_walfile_name(pg_switch_wal())"))

    def archive(self) -> str:
        """End the current segment, wait until it is archived, return its name."""
        segment = self.end_segment()
        wait_until(lambda: self.last_archived() >= segment, 240, f"the archiving of {segment}")
        return segment

    def last_archived(self) -> str:
        return str(self.sql("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver"))


@contextmanager
def archived_cluster() -> Iterator[ArchivedCluster]:
    """Run a cluster that archives, with the table `told (word)`; nothing of it is saved yet."""
    folder = Path(tempfile.mkdtemp(prefix="wk-cluster-"))
    folder.chmod(0o711)
    port = free_port()
    postgres = EmbeddedPostgres(folder / "database", port=port)
    # Its archive_command runs our Python, which an account may not reach that reaches PostgreSQL.
    postgres._account = account_for(postgres.folder, [binaries() / "postgres", Path(sys.executable)])
    try:
        with backup_site() as site:
            store = site.add_folder_target()
            postgres.folder.mkdir(mode=0o700)
            postgres._prepare(None)
            passfile = site.folder / "host" / "pgpass"
            passfile.write_text(f"*:*:*:*:{(postgres.folder / 'superuser-password').read_text()}")
            passfile.chmod(0o600)
            site.sets.append(
                f'[[sets]]\nname = "{SET}"\ntarget = "store"\nschedule = "never"\n[sets.postgresql_base]\n'
                f'host = "127.0.0.1"\nport = {port}\npassfile = "{passfile}"\n'
            )
            site.write()
            hand_over(site.folder, postgres.account)
            cluster = ArchivedCluster(postgres=postgres, site=site, store=store)
            command = f"PYTHONPATH={CHECKOUT} {sys.executable} -m backup.command wal put --config {site.host} {SET} %p"
            (cluster.folder / "local.conf").write_text(f"archive_mode = on\narchive_command = '{command}'\n")
            try:
                postgres.start()
                cluster.sql("CREATE TABLE told (word text)")
                yield cluster
            finally:
                postgres.stop()  # it archives what it has not yet, so before the site is gone
    finally:
        shutil.rmtree(folder)


@contextmanager
def started(cluster: Path, account: Account, password: str) -> Iterator[str]:
    """Start PostgreSQL on a restored cluster and wait until it has recovered; yield its superuser's DSN."""
    hand_over(cluster.parent, account)  # as its operator does where somebody else restored it
    port = free_port()
    options = {"port": str(port), "unix_socket_directories": "", "logging_collector": "off", "fsync": "off"}
    log = cluster.parent / "log"
    with log.open("wb") as words:
        child = subprocess.Popen(
            [*account.prefix, str(binaries() / "postgres"), "-D", str(cluster),
             *(part for name, value in options.items() for part in ("-c", f"{name}={value}"))],
            stdin=subprocess.DEVNULL, stdout=words, stderr=words, cwd="/", start_new_session=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
        )  # fmt: skip
    dsn = make_conninfo("", host="127.0.0.1", port=port, user="postgres", dbname="postgres", password=password)
    try:
        wait_until(lambda: _has_recovered(dsn, child, log), _READY_SECONDS, f"recovery ({log})")
        yield dsn
    finally:
        child.terminate()
        try:
            child.wait(120)
        finally:
            child.kill()
            child.wait()


def ask(dsn: str, statement: str) -> Any:
    """Run a statement; return the first value it gives, None when it gives none."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=30) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]


def _has_recovered(dsn: str, child: subprocess.Popen[bytes], log: Path) -> bool:
    assert child.poll() is None, log.read_text(errors="replace")[-2000:]
    try:
        return ask(dsn, "SELECT pg_is_in_recovery()") is False
    except psycopg.OperationalError:
        return False
