"""What a proxy is told by its configuration file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.config.reader import ByteSize, setting
from core.config.upstreams import UpstreamSettings, check_some


def check_port(port: int) -> str | None:
    """Return what is wrong with a port; None when it is one (0: any free one)."""
    return None if 0 <= port < 65_536 else f"expected a port from 0 to 65535, found {port}"


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """The settings of a proxy."""

    name: str = field(metadata=setting("name of this proxy", example='"proxy1"'))
    data: Path = field(metadata=setting("folder for what waits to be stored", example='"/var/lib/watchkeep/proxy"'))
    key_file: Path = field(
        metadata=setting("key pair of this proxy; made when missing", example='"/var/lib/watchkeep/proxy/key"')
    )
    listen: str = field(default="127.0.0.1", metadata=setting("address at which agents are taken in"))
    control_port: int = field(default=7701, metadata=setting("port of the control plane", check=check_port))
    data_port: int = field(default=7702, metadata=setting("port of the data plane", check=check_port))
    spool_limit: ByteSize = field(
        default=ByteSize(4 << 30), metadata=setting("room on disk for what waits", minimum=16 << 20)
    )
    secrets: Path | None = field(
        default=None,
        metadata=setting("folder of what polled devices want to know; left out: secrets in the data folder"),
    )
    log: Literal["text", "json"] = field(default="text", metadata=setting("form of the log lines"))
    servers: tuple[UpstreamSettings, ...] = field(
        metadata=setting("servers to deliver to, the preferred one first", check=check_some)
    )
