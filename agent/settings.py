"""What an agent is told by its configuration file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import UUID

from core.config.reader import ByteSize, setting
from core.config.upstreams import UpstreamSettings, check_some


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """The settings of an agent."""

    name: str = field(metadata=setting("name of this host", example='"db1"'))
    source: UUID = field(
        metadata=setting("id this agent numbers its records under", example='"2f9d4c1e-7f0a-4c6b-9a51-0c5d8f1b2e3a"')
    )
    data: Path = field(metadata=setting("folder for what waits to be stored", example='"/var/lib/watchkeep/agent"'))
    key_file: Path = field(
        metadata=setting("key pair of this agent; made when missing", example='"/var/lib/watchkeep/agent/key"')
    )
    spool_limit: ByteSize = field(
        default=ByteSize(256 << 20), metadata=setting("room on disk for what waits", minimum=1 << 20)
    )
    proc: Path = field(default=Path("/proc"), metadata=setting("proc filesystem of the watched machine"))
    commands: tuple[Path, ...] = field(
        default=(),
        metadata=setting(
            "programs, and folders of programs, that probes may start; empty: none",
            example='["/usr/lib/nagios/plugins"]',
        ),
    )
    backup: Path | None = field(
        default=None,
        metadata=setting(
            "backup.toml of this host: its sets are saved when they are due", example='"/etc/watchkeep/backup.toml"'
        ),
    )
    drills: Path | None = field(
        default=None,
        metadata=setting(
            "backup.toml of this restore station: its sets are drilled and verified when they are due",
            example='"/etc/watchkeep/restore-station.toml"',
        ),
    )
    logs: tuple[Path, ...] = field(
        default=(Path("/var/log"),), metadata=setting("logs, and folders of logs, that probes may read")
    )
    log: Literal["text", "json"] = field(default="text", metadata=setting("form of the log lines"))
    upstreams: tuple[UpstreamSettings, ...] = field(
        metadata=setting("collectors to deliver to, the preferred one first", check=check_some)
    )
