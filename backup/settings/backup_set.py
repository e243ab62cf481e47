"""What backup.toml says of a backup set: what is saved together, where to, when, and what is expected of it."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from backup.model import MOST_PARTS
from backup.schedule import check_schedule
from backup.settings.checks import check_name, check_things
from backup.settings.pruner import RetentionSettings
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
from core.config.reader import ByteSize, setting
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
    def binary_logs(self) -> timedelta | None:
        """Every how long the binary logs of its server are archived; None: they are not."""
        source = self.mariadb or self.mysql or self.mariadb_base
        return None if source is None else source.binary_logs

    @property
    def sources(self) -> tuple[str, ...]:
        """The kinds of source that are given: one at the host whose set it is, none at a restore station."""
        return tuple(kind for kind in SOURCE_KINDS if getattr(self, kind) is not None)
