"""What backup.toml says: whose machine this is, its keys, its targets, its sets."""

from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from backup.errors import ConfigInvalid
from backup.model import MOST_PARTS
from backup.schedule import check_schedule
from backup.settings.checks import check_fingerprints, check_name, check_things
from backup.settings.drill import DrillSettings
from backup.settings.pruner import PrunerSettings, RetentionSettings
from backup.settings.source import (
    CommandSettings,
    ImageSettings,
    LibvirtSettings,
    MariadbBaseSettings,
    MariadbSettings,
    MysqlSettings,
    PathsSettings,
    PostgresqlBaseSettings,
    PostgresqlSettings,
)
from backup.settings.target import TargetSettings
from backup.settings.verification import VerificationSettings
from core.config.reader import ByteSize, ConfigError, read_config, setting
from core.runtime.window import check_window

SOURCE_KINDS: Final = (
    "paths",
    "postgresql",
    "postgresql_base",
    "mariadb",
    "mariadb_base",
    "mysql",
    "command",
    "libvirt",
    "image",
)


@dataclass(frozen=True, kw_only=True)
class KeySettings:
    """Where the keys are. A host has `host` only; a restore station `station` only; they are never the same folder."""

    host: Path = field(
        default=Path("keys/host"),
        metadata=setting("the host's key folder: its signing pair and public encryption keys"),
    )
    host_passphrase_file: Path = field(
        default=Path("keys/host.passphrase"), metadata=setting("file whose first line opens the signing key")
    )
    station: Path | None = field(
        default=None,
        metadata=setting(
            "the restore station's key folder: decryption pairs and the hosts' public keys; never on a host",
            example='"keys/station"',
        ),
    )
    station_passphrase_file: Path = field(
        default=Path("keys/station.passphrase"), metadata=setting("file whose first line opens the decryption key")
    )
    recipients: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "fingerprints of the encryption keys to encrypt to; none: every one in the host's key folder",
            check=check_fingerprints,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class SetSettings:
    """A backup set: what is saved together, where to, and when. A restore station names neither source nor schedule."""

    name: str = field(metadata=setting("what the set is called", example='"files"', check=check_name))
    target: str = field(metadata=setting("name of the target", example='"store"', check=check_name))
    also: tuple[str, ...] = field(
        default=(),
        metadata=setting("names of further targets: each gets a whole copy of every restore point", example='["far"]'),
    )
    host: str | None = field(
        default=None,
        metadata=setting("at a restore station: the host whose set it is; none: this machine", check=check_name),
    )
    schedule: str = field(
        default="daily 02:30",
        metadata=setting(
            'when it is due: "daily 02:30" (UTC), "weekly sunday 03:00", "hourly", "every 6h" or "never"',
            check=check_schedule,
        ),
    )
    window: str | None = field(
        default=None,
        metadata=setting(
            "the agent begins a run only within these times of day (UTC); one that goes on after them is a problem",
            check=check_window,
            example='"22:00-06:00"',
        ),
    )
    catch_up: bool = field(
        default=True,
        metadata=setting("make up for what was missed while the machine was off, by one run; false: wait for the next"),
    )
    full_after_links: int = field(
        default=30, metadata=setting("a new full when the chain has this many incrementals", minimum=0)
    )
    full_after: timedelta = field(
        default=timedelta(days=30), metadata=setting("a new full when the chain's full is this old", minimum=1)
    )
    time_limit: timedelta = field(default=timedelta(hours=12), metadata=setting("how long a run may take", minimum=1))
    volume_size: ByteSize = field(
        default=ByteSize(50 << 20),
        metadata=setting(
            "size of a volume at the target; to restore one file, whole ones are fetched", minimum=1 << 20
        ),
    )
    max_block_size: int | None = field(
        default=None,
        metadata=setting(
            "largest block compared, in bytes; none: 4096 for dumps and images, of files the square root of the size",
            minimum=512,
        ),
    )
    side_by_side: int = field(
        default=1,
        metadata=setting(
            f"in how many parts files and folders are saved at once, a duplicity each; up to {MOST_PARTS}",
            minimum=1,
        ),
    )
    covers: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "what it saves beside what its source says, so that it does not count as unprotected",
            example='["database:crm", "domain:golden"]',
            check=check_things,
        ),
    )
    paths: PathsSettings | None = field(default=None, metadata=setting("save files and folders"))
    postgresql: PostgresqlSettings | None = field(default=None, metadata=setting("save a PostgreSQL database"))
    postgresql_base: PostgresqlBaseSettings | None = field(
        default=None, metadata=setting("save a whole PostgreSQL cluster, to which archived WAL can be added")
    )
    mariadb: MariadbSettings | None = field(default=None, metadata=setting("save a MariaDB database"))
    mariadb_base: MariadbBaseSettings | None = field(
        default=None, metadata=setting("save a whole MariaDB server of this machine, by copies of its files")
    )
    mysql: MysqlSettings | None = field(default=None, metadata=setting("save a database of MySQL's own server"))
    command: CommandSettings | None = field(default=None, metadata=setting("save what a program writes"))
    libvirt: LibvirtSettings | None = field(default=None, metadata=setting("save a libvirt domain"))
    image: ImageSettings | None = field(default=None, metadata=setting("save image files of QEMU"))
    retention: RetentionSettings | None = field(
        default=None,
        metadata=setting(
            "at a pruner: what to keep of this set, instead of the pruner's own rules; elsewhere: what has to be there,"
            " so that its deletion is told"
        ),
    )

    drill: str | None = field(
        default=None,
        metadata=setting(
            "at a restore station: when it is restored into a scratch place and checked; none: as [drills] says",
            example='"weekly sunday 05:00"',
            check=check_schedule,
        ),
    )
    verify: str | None = field(
        default=None,
        metadata=setting(
            "at a restore station: when it is verified, at all of its targets; none: as [verification] says",
            example='"daily 05:00"',
            check=check_schedule,
        ),
    )
    drill_questions: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "at a restore station: statements of SQL that a restored database has to answer with true",
            example='["SELECT count(*) > 0 FROM customer"]',
        ),
    )
    restore_within: timedelta | None = field(
        default=None,
        metadata=setting("at a restore station: how long restoring it may take, by what drills took", minimum=1),
    )
    lose_at_most: timedelta | None = field(
        default=None,
        metadata=setting("at its host: how much work may be lost, by its schedule and its last good run", minimum=1),
    )

    def __post_init__(self) -> None:
        if len(self.sources) > 1:
            raise ValueError(f"a set has one source, not both {' and '.join(self.sources)}")
        if len(set(self.targets)) != len(self.targets):
            raise ValueError("also: names a target twice")
        if self.side_by_side > MOST_PARTS:
            raise ValueError(f"side_by_side: expected at most {MOST_PARTS}, found {self.side_by_side}")
        if self.side_by_side > 1 and self.sources and self.paths is None:
            raise ValueError(
                f"side_by_side: only what [sets.paths] saves can be cut into parts; leave it out with {self.sources[0]}"
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of all its targets, `target` first."""
        return (self.target, *self.also)

    def at_target(self, name: str) -> "SetSettings":
        """Return the set as if this target were its only one."""
        return replace(self, target=name, also=())

    @property
    def sources(self) -> tuple[str, ...]:
        """The kinds of source that are given: one at the host whose set it is, none at a restore station."""
        return tuple(kind for kind in SOURCE_KINDS if getattr(self, kind) is not None)


@dataclass(frozen=True, kw_only=True)
class BackupSettings:
    """Everything the `bkp` command is told. Relative paths count from backup.toml's folder."""

    host: str = field(
        metadata=setting("name of this machine, as Watchkeep knows it", example='"web1"', check=check_name)
    )
    work: Path = field(
        default=Path("work"), metadata=setting("caches, scratch space, locks and the journal; private to its owner")
    )
    at_once: int = field(default=1, metadata=setting("how many sets the agent may save side by side", minimum=1))
    state: Path = field(default=Path("state"), metadata=setting("where SET.json says how the last run went"))
    keys: KeySettings = field(default_factory=KeySettings, metadata=setting("the keys"))
    targets: tuple[TargetSettings, ...] = field(default=(), metadata=setting("places backups are kept at"))
    sets: tuple[SetSettings, ...] = field(default=(), metadata=setting("what is saved"))
    pruner: PrunerSettings | None = field(default=None, metadata=setting("this machine deletes what is out of date"))
    drills: DrillSettings = field(
        default_factory=DrillSettings, metadata=setting("at a restore station: how restore points are proven")
    )
    verification: VerificationSettings = field(
        default_factory=VerificationSettings,
        metadata=setting("at a restore station: when what lies at the targets is compared with what was sent there"),
    )
    marks: TargetSettings | None = field(
        default=None,
        metadata=setting("at a restore station and a pruner: where readers say what they read, so that it stays"),
    )

    def __post_init__(self) -> None:
        targets = [target.name for target in self.targets]
        sets = [each.name for each in self.sets]
        for kind, names in (("target", targets), ("set", sets)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} {twice[0]!r} is there twice")
        lost = [(each.name, name) for each in self.sets for name in each.targets if name not in targets]
        if lost:
            raise ValueError(f"set {lost[0][0]!r} names the target {lost[0][1]!r}, which is not there")
        if self.keys.station is not None and self.keys.station == self.keys.host:
            raise ValueError("keys: host and station need folders of their own: a host never holds a decryption key")
        if self.pruner is not None:
            self._check_pruner(self.pruner)

    def _check_pruner(self, pruner: PrunerSettings) -> None:
        if self.keys.station is not None:
            raise ValueError("pruner: who may delete holds no decryption key: give it a configuration of its own")
        long = [each.name for each in self.sets if each.time_limit >= pruner.strays_after]
        if long:
            raise ValueError(f"pruner.strays_after: runs of set {long[0]!r} may take longer (its time_limit)")

    def find_set(self, name: str) -> SetSettings:
        """Return a set by name. Raises ConfigInvalid naming those there are."""
        for each in self.sets:
            if each.name == name:
                return each
        known = ", ".join(sorted(each.name for each in self.sets)) or "none"
        raise ConfigInvalid(f"there is no backup set {name!r}; known: {known}")

    def has_set(self, chosen: SetSettings) -> bool:
        """Tell whether a set stands in the configuration, at whichever of its targets it is looked at."""
        known = {(self.host_of(each), each.name) for each in self.sets}
        return (self.host_of(chosen), chosen.name) in known

    def find_target(self, name: str) -> TargetSettings:
        """Return a target by name. Raises ConfigInvalid."""
        for target in self.targets:
            if target.name == name:
                return target
        raise ConfigInvalid(f"there is no target {name!r}")

    def demand_pruner(self) -> PrunerSettings:
        """Return what a pruner is told. Raises ConfigInvalid on a machine that is none."""
        if self.pruner is None:
            raise ConfigInvalid("this is no pruner's configuration: one with [pruner] may delete (docs/backup.md)")
        return self.pruner

    def host_of(self, chosen: SetSettings) -> str:
        """Return the host a set belongs to: the first folder of its place at the target."""
        return chosen.host or self.host


def read_settings(path: Path) -> BackupSettings:
    """Read backup.toml; every path returned is absolute. Raises ConfigInvalid with every fault, one a line."""
    try:
        settings: BackupSettings = _anchor(read_config(path, BackupSettings), path.absolute().parent)
    except ConfigError as error:
        raise ConfigInvalid(str(error)) from error
    except ValueError as error:  # two paths that are one only when both are whole
        raise ConfigInvalid(f"{path}: {error}") from error
    return settings


def _anchor(config: Any, folder: Path) -> Any:
    """Return `config` with every relative path counted from `folder`; the reader leaves defaults as they are."""
    changed: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if isinstance(value, Path):
            changed[each.name] = folder / value
        elif is_dataclass(value):
            changed[each.name] = _anchor(value, folder)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            changed[each.name] = tuple(_anchor(entry, folder) for entry in value)
    return replace(config, **changed)
