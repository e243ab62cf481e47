"""What backup.toml says of a source: what of a machine is saved as one set."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from backup.settings.checks import check_name
from core.config.reader import ByteSize, setting


@dataclass(frozen=True, kw_only=True)
class PathsSettings:
    """A set of files and folders."""

    roots: tuple[Path, ...] = field(metadata=setting("files and folders to save", example='["/etc", "/home"]'))
    exclude: tuple[str, ...] = field(
        default=(),
        metadata=setting("what to leave out, below any root (* in a name, ** across names)", example='["**/.cache"]'),
    )
    one_file_system: bool = field(default=False, metadata=setting("stay on the file system of each root"))
    snapshot: Literal["none", "auto", "required"] = field(
        default="none",
        metadata=setting(
            'save them as of one instant, from snapshots (btrfs, ZFS and LVM, as root): "auto" where they can be had,'
            ' "required" all or nothing',
            example='"auto"',
        ),
    )

    def __post_init__(self) -> None:
        if not self.roots:
            raise ValueError("roots: expected at least one path")


@dataclass(frozen=True, kw_only=True)
class PostgresqlSettings:
    """A PostgreSQL database, saved with pg_dump and a record of the moment it is of."""

    database: str = field(metadata=setting("name of the database", example='"watchkeep"'))
    host: str = field(default="localhost", metadata=setting("where it answers: a name, an address, a socket's folder"))
    port: int = field(default=5432, metadata=setting("port", minimum=1))
    user: str = field(default="postgres", metadata=setting("role that may read everything"))
    passfile: Path | None = field(
        default=None, metadata=setting("password file as PGPASSFILE has it", example='"keys/pgpass"')
    )
    binaries: Path | None = field(
        default=None,
        metadata=setting(
            "folder of psql and pg_dump (as new as the server); none: Debian's of its version, the embedded, then PATH"
        ),
    )
    count_rows: bool = field(default=True, metadata=setting("count every table's rows in the dump's own snapshot"))


@dataclass(frozen=True, kw_only=True)
class PostgresqlBaseSettings:
    """A whole PostgreSQL cluster, saved by pg_basebackup; with `bkp wal put` as archive_command, for any moment."""

    host: str = field(default="localhost", metadata=setting("where it answers: a name, an address, a socket's folder"))
    port: int = field(default=5432, metadata=setting("port", minimum=1))
    user: str = field(default="postgres", metadata=setting("role with REPLICATION and pg_read_all_settings"))
    passfile: Path | None = field(
        default=None, metadata=setting("password file as PGPASSFILE has it", example='"keys/pgpass"')
    )
    binaries: Path | None = field(
        default=None,
        metadata=setting("folder of psql and pg_basebackup (as new as the server); none: the embedded ones, then PATH"),
    )


_BINARY_LOGS: Final = setting(
    "every how long its binary log is archived, for restores as of any moment; none: not at all",
    example='"5m"',
    minimum=10,
)


@dataclass(frozen=True, kw_only=True)
class MysqlLogin:
    """One database of a MariaDB or a MySQL, and how their clients, which take the same options, get to it."""

    database: str = field(metadata=setting("name of the database", example='"shop"'))
    host: str = field(default="localhost", metadata=setting("where it answers; localhost: by its socket"))
    port: int = field(default=3306, metadata=setting("port", minimum=1))
    socket: Path | None = field(default=None, metadata=setting("its socket; none: where the client looks for it"))
    user: str = field(default="root", metadata=setting("account that may read everything"))
    option_file: Path | None = field(
        default=None, metadata=setting("option file with the password: [client] password=…", example='"keys/my.cnf"')
    )
    binaries: Path | None = field(default=None, metadata=setting("folder of its client programs; none: PATH"))
    binary_logs: timedelta | None = field(default=None, metadata=_BINARY_LOGS)


@dataclass(frozen=True, kw_only=True)
class MariadbSettings(MysqlLogin):
    """A MariaDB database, saved with mariadb-dump from one snapshot, without a lock that writers wait for."""

    binaries: Path | None = field(default=None, metadata=setting("folder of mariadb and mariadb-dump; none: PATH"))
    count_rows: bool = field(default=True, metadata=setting("count every table's rows in the dump"))


@dataclass(frozen=True, kw_only=True)
class MysqlSettings(MysqlLogin):
    """A database of MySQL's own server, saved with its mysqldump from one snapshot."""

    binaries: Path | None = field(
        default=None, metadata=setting("folder of MySQL's own mysql and mysqldump, as new as the server; none: PATH")
    )
    count_rows: bool = field(default=True, metadata=setting("count every table's rows in the dump"))
    binlog_position: bool = field(
        default=True,
        metadata=setting("record the snapshot's place in the binary log, for which all commits wait for an instant"),
    )
    lock_wait: timedelta = field(
        default=timedelta(seconds=30),
        metadata=setting(
            "how long it waits for that instant, and commits with it, while others' statements go on", minimum=1
        ),
    )

    def __post_init__(self) -> None:
        if self.binary_logs is not None and not self.binlog_position:
            raise ValueError("binlog_position: has to be true, or no restore point knows where in binary_logs it is")


@dataclass(frozen=True, kw_only=True)
class MariadbBaseSettings:
    """A whole MariaDB server of this machine, its files copied by mariadb-backup while it works."""

    host: str = field(default="localhost", metadata=setting("where it answers, on this machine; localhost: its socket"))
    port: int = field(default=3306, metadata=setting("port", minimum=1))
    socket: Path | None = field(default=None, metadata=setting("its socket; none: where the client looks for it"))
    user: str = field(
        default="root", metadata=setting("account with RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR and SHOW VIEW")
    )
    option_file: Path | None = field(
        default=None, metadata=setting("option file with the password: [client] password=…", example='"keys/my.cnf"')
    )
    binaries: Path | None = field(
        default=None,
        metadata=setting("folder of mariadb and mariadb-backup, of the server's own version; none: PATH"),
    )
    lock_wait: timedelta = field(
        default=timedelta(minutes=5),
        metadata=setting("how long it waits for each lock that statements of others are in the way of", minimum=1),
    )
    binary_logs: timedelta | None = field(default=None, metadata=_BINARY_LOGS)

    @property
    def login(self) -> MariadbSettings:
        """How its clients get to it, as to the database of its own tables."""
        return MariadbSettings(
            database="mysql",
            host=self.host,
            port=self.port,
            socket=self.socket,
            user=self.user,
            option_file=self.option_file,
            binaries=self.binaries,
            binary_logs=self.binary_logs,
        )


def _check_file_name(text: str) -> str | None:
    return "it is the record's own name" if text == "consistency.json" else check_name(text)


@dataclass(frozen=True, kw_only=True)
class CommandSettings:
    """What a program writes to its standard output, saved as one file."""

    arguments: tuple[str, ...] = field(
        metadata=setting(
            "the program and its arguments; no shell reads them", example='["/usr/sbin/slapcat", "-n", "1"]'
        )
    )
    file_name: str = field(default="output", metadata=setting("what the file is called", check=_check_file_name))
    largest: ByteSize = field(
        default=ByteSize(100 << 30), metadata=setting("a program that writes more than this is ended", minimum=1)
    )

    def __post_init__(self) -> None:
        if not self.arguments or not self.arguments[0]:
            raise ValueError("arguments: expected a program and its arguments")


@dataclass(frozen=True, kw_only=True)
class LibvirtSettings:
    """A domain of this machine's libvirt, saved from outside."""

    domain: str = field(metadata=setting("name of the domain", example='"shop"'))
    uri: str = field(default="qemu:///system", metadata=setting("libvirt's connection, on this machine"))
    exclude: tuple[str, ...] = field(
        default=(), metadata=setting("disks to leave out, by their target's name", example='["vdb"]')
    )
    exchange: Path = field(
        default=Path("/var/lib/libvirt/images"),
        metadata=setting("folder QEMU can enter: for what guests overwrite while they are saved, and for sockets"),
    )

    def __post_init__(self) -> None:
        if not self.domain:
            raise ValueError("domain: expected a name")


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Image files of QEMU that nothing has open for writing while they are saved."""

    files: tuple[Path, ...] = field(metadata=setting("image files", example='["/srv/images/golden.qcow2"]'))
    format: Literal["qcow2", "raw"] = field(
        default="qcow2", metadata=setting("what they are; it is never guessed, since a guest can write what looks so")
    )

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("files: expected at least one path")
