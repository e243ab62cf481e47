"""What a server is told by its configuration file."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from core.config.reader import setting
from core.config.upstreams import UpstreamSettings
from server.page_address import check_page_url


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The settings of a server. Several servers with one database make an active one and standbys."""

    name: str = field(metadata=setting("name of this server, unique among those of one database", example='"server1"'))
    dsn: str = field(
        repr=False,
        metadata=setting("PostgreSQL connection string", example='"postgresql://watchkeep:…@db.example/watchkeep"'),
    )
    key_file: Path = field(
        metadata=setting("key pair of this server; made when missing", example='"/var/lib/watchkeep/server.key"')
    )
    secrets: Path = field(
        default=Path("secrets"), metadata=setting("folder of secret files that receivers name", example='"secrets"')
    )
    listen: str = field(default="127.0.0.1", metadata=setting("address at which links are taken in"))
    control_port: int = field(default=7710, metadata=setting("port of the control plane; 0 chooses one", minimum=0))
    data_port: int = field(default=7711, metadata=setting("port of the data plane; 0 chooses one", minimum=0))
    feed_listen: str = field(default="127.0.0.1", metadata=setting("address of the live feed"))
    feed_port: int | None = field(
        default=None,
        metadata=setting("port of the live feed, 0: any; without one nobody can listen", example="7712", minimum=0),
    )
    endpoint: str = field(
        default="",
        metadata=setting("how proxies reach the control plane", example='"tcp://server1.example:7710"'),
    )
    web_listen: str = field(default="127.0.0.1", metadata=setting("address of the page and the API"))
    web_port: int = field(default=8642, metadata=setting("port of the page and the API; 0 chooses one", minimum=0))
    web_is_https: bool = field(
        default=False, metadata=setting("the page is reached by HTTPS, through a proxy of yours")
    )
    web_url: str = field(
        default="",
        metadata=setting(
            "how people reach the page, for the links in notices; left out: made of the two above and web_is_https",
            example='"https://watchkeep.example.org"',
            check=check_page_url,
        ),
    )
    enrolment_listen: str = field(
        default="127.0.0.1", metadata=setting("address at which machines that nobody knows yet may ask to be let in")
    )
    enrolment_port: int | None = field(
        default=None,
        metadata=setting("port of enrolment, 0: any; without one nobody can ask", example="7704", minimum=0),
    )
    enrolment_url: str = field(
        default="", metadata=setting("how newcomers reach that port", example='"http://watchkeep.example:7704"')
    )
    enrolment_by_approval: bool = field(
        default=False, metadata=setting("machines without a token may ask and wait for an administrator")
    )
    enrolment_upstreams: tuple[UpstreamSettings, ...] = field(
        default=(), metadata=setting("collectors a newcomer is sent to; host * is the one it asked at")
    )
    restore_station: Path | None = field(
        default=None,
        metadata=setting(
            "backup.toml of the restore station: with it the page looks into backups and restores files",
            example='"/etc/watchkeep/restore-station.toml"',
        ),
    )
    retention: timedelta = field(
        default=timedelta(days=31),
        metadata=setting("how long history is kept where no template or host says otherwise", minimum=3600),
    )
    trends_retention: timedelta = field(
        default=timedelta(days=2 * 366), metadata=setting("the same of trends: hours' min, avg, max", minimum=3600)
    )
    takeover_after: timedelta = field(
        default=timedelta(seconds=3), metadata=setting("silence after which a standby takes over", minimum=1)
    )
    nodata_grace: timedelta = field(
        default=timedelta(seconds=30),
        metadata=setting("how long a way must have been up before silence on it means anything", minimum=0),
    )
    balancing: bool = field(
        default=True,
        metadata=setting("spread agents over the proxies of their group by load; false: each agent's own order holds"),
    )
    balance_every: timedelta = field(
        default=timedelta(seconds=60),
        metadata=setting("pause between two rounds of moves; rests and patience are multiples of it", minimum=1),
    )
    log: Literal["text", "json"] = field(default="text", metadata=setting("form of the log lines"))
