"""What a subscriber of the live feed is told by its configuration file."""

from dataclasses import dataclass, field
from pathlib import Path

from core.config.reader import setting
from core.config.upstreams import UpstreamSettings, check_some


@dataclass(frozen=True, kw_only=True)
class TailSettings:
    """The settings of `watchkeep tail`."""

    key_file: Path = field(
        metadata=setting("key pair of this subscriber; made when missing", example='"/etc/watchkeep/tail.key"')
    )
    feeds: tuple[UpstreamSettings, ...] = field(
        metadata=setting("live feeds of all servers; the active one speaks", check=check_some)
    )
