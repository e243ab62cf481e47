"""What backup.toml says of drills: `[drills]` at a restore station."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from backup.schedule import check_schedule
from core.config.reader import ByteSize, setting


@dataclass(frozen=True, kw_only=True)
class DrillSettings:
    """How restore points are proven: restored into a scratch place, checked, thrown away."""

    schedule: str = field(
        default="never",
        metadata=setting(
            "when each set is drilled that has no `drill` of its own: as `schedule` of a set",
            example='"weekly sunday 05:00"',
            check=check_schedule,
        ),
    )
    scratch: Path | None = field(
        default=None, metadata=setting("folder to restore into, with room for the largest set; none: below `work`")
    )
    time_limit: timedelta = field(default=timedelta(hours=6), metadata=setting("how long one may take", minimum=1))
    memory: ByteSize = field(
        default=ByteSize(1 << 30), metadata=setting("most memory of each program it starts", minimum=64 << 20)
    )
    keep_free: ByteSize = field(
        default=ByteSize(1 << 30), metadata=setting("room on the scratch folder's disk that stays free", minimum=0)
    )
    postgresql_programs: Path | None = field(
        default=None,
        metadata=setting(
            "folder of a PostgreSQL's programs, server included, with the extensions the databases use, or of several"
            " versions' (17/bin in it); none: Debian's and the embedded ones"
        ),
    )
    mariadb_programs: Path | None = field(
        default=None,
        metadata=setting(
            "folder of a MariaDB's programs, server included, or of several versions' (10.11/bin in it); none: PATH and"
            " /usr/sbin"
        ),
    )
    mysql_programs: Path | None = field(
        default=None,
        metadata=setting(
            "folder of a MySQL's programs, server included, or of several versions' (8.4/bin in it); none: PATH and"
            " /usr/sbin"
        ),
    )
