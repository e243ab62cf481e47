"""What an agent is told by its configuration file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import UUID

from core.config.reader import ByteSize, setting
from core.security.keys import KeyFault, read_public


def check_endpoint(text: str) -> str | None:
    """Return what is wrong with an endpoint; None when it is tcp://HOST:PORT."""
    host, _, port = text.removeprefix("tcp://").rpartition(":")
    if text.startswith("tcp://") and host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536:
        return None
    return f'expected "tcp://HOST:PORT", found "{text}"'


def check_key(text: str) -> str | None:
    """Return what is wrong with a public key's text; None when it is one."""
    try:
        read_public(text)
    except KeyFault as error:
        return f"expected a public key of 40 letters: {error}"
    return None


def check_some(upstreams: tuple[object, ...]) -> str | None:
    """Return what is wrong with the list of upstreams; None when there is one at least."""
    return None if upstreams else "expected at least one upstream"


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """A collector the agent may deliver to."""

    endpoint: str = field(metadata=setting("control port", example='"tcp://proxy1.example:7701"', check=check_endpoint))
    key: str = field(
        metadata=setting("public key", example='"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"', check=check_key)
    )


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
    log: Literal["text", "json"] = field(default="text", metadata=setting("form of the log lines"))
    upstreams: tuple[UpstreamSettings, ...] = field(
        metadata=setting("collectors to deliver to, the preferred one first", check=check_some)
    )
