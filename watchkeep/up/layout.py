"""Where each thing of an installation lies in its data folder, and the configuration each part is started with."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from watchkeep.installation import write_private

if TYPE_CHECKING:
    from pathlib import Path

SERVER_NAME = "server"
PROXY_NAME = "proxy"
GROUP_NAME = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The folders and files of one installation."""

    data: Path

    @property
    def postgres(self) -> Path:
        """The embedded database."""
        return self.data / "postgres"

    @property
    def logs(self) -> Path:
        """The parts' logs."""
        return self.data / "log"

    @property
    def password_file(self) -> Path:
        """The administrator's first password, until it is changed."""
        return self.data / "admin-password"

    def key_file(self, part: str) -> Path:
        """The CURVE key pair of a part."""
        return self.data / "keys" / f"{part}.key"

    def config_file(self, part: str) -> Path:
        """The configuration a part is started with."""
        return self.data / f"{part}.toml"

    def make(self) -> None:
        """Make the folders that are missing, private to their owner."""
        for folder in (self.data, self.data / "keys", self.logs, self.data / "secrets"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Loopback ports of one start; only the page's is wished for, the others are whatever is free."""

    web: int
    server_control: int
    server_data: int
    proxy_control: int
    proxy_data: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAgent:
    """Who this machine's agent is: the same at every start."""

    name: str
    source: UUID


def local_agent(layout: Layout) -> LocalAgent:
    """Return this machine's agent, made up at the first start."""
    path = layout.data / "agent-identity.json"
    if path.exists():
        known = json.loads(path.read_text())
        return LocalAgent(name=known["name"], source=UUID(known["source"]))
    made = LocalAgent(name=host_name(socket.gethostname()), source=uuid4())
    write_private(path, json.dumps({"name": made.name, "source": str(made.source)}) + "\n")
    return made


def host_name(name: str) -> str:
    """Return a machine's name as a host may be called: letters, digits, dots, dashes, underscores."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-")[:128].strip("._-")
    return plain or "localhost"


def free_ports(web: int) -> Ports:
    """Choose free loopback ports; `web` is taken as it is."""
    sockets = [socket.socket() for _ in range(4)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        control, data, proxy_control, proxy_data = (int(each.getsockname()[1]) for each in sockets)
    finally:
        for each in sockets:
            each.close()
    return Ports(web=web, server_control=control, server_data=data, proxy_control=proxy_control, proxy_data=proxy_data)


def toml(settings: dict[str, Any]) -> str:
    """Write plain settings as TOML: strings, numbers, and lists of tables."""
    plain = {name: value for name, value in settings.items() if not isinstance(value, list)}
    lines = [f"{name} = {_toml_value(value)}" for name, value in plain.items()]
    for name, tables in settings.items():
        if isinstance(tables, list):
            for table in tables:
                lines += ["", f"[[{name}]]", *(f"{key} = {_toml_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: object) -> str:
    # A JSON string is a TOML basic string once DEL, which JSON leaves as it is, is escaped.
    return json.dumps(value if isinstance(value, int) else str(value), ensure_ascii=True).replace("\x7f", "\\u007f")
