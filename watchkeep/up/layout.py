"""Where each thing of an installation lies in its data folder, and the configuration each part is started with."""

from __future__ import annotations

import json
import re
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from core.runtime.ports import bound_socket, port_of
from watchkeep.installation import FIRST_PASSWORD, write_private

if TYPE_CHECKING:
    from pathlib import Path

SERVER_NAME = "server"
PROXY_NAME = "proxy"
GROUP_NAME = "default"
DEFAULT_GATE_PORT = 7701
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 # only compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The folders and files of one installation."""

    data: Path

    @property
    def postgres(self) -> Path:
        """The embedded database."""
        return self.data / "postgres"

    @property
    def proxy(self) -> Path:
        """What the proxy keeps."""
        return self.data / "proxy"

    @property
    def logs(self) -> Path:
        """The parts' logs."""
        return self.data / "log"

    @property
    def password_file(self) -> Path:
        """The administrator's first password, until it is changed."""
        return self.data / FIRST_PASSWORD

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
class Gate:
    """Where agents of other hosts are taken in: an IPv4 address of this machine, ports that stay the same.

    The third port is the live feed's (docs/protocol.md), the fourth is where newcomers ask to be let in.
    """

    address: str = "127.0.0.1"
    control_port: int
    data_port: int

    @property
    def feed_port(self) -> int:
        """Where the live feed is."""
        return self.control_port + 2

    @property
    def enrolment_port(self) -> int:
        """Where newcomers ask."""
        return self.control_port + 3

    @property
    def ports(self) -> tuple[int, ...]:
        """All that it takes when agents of other hosts are let in."""
        return self.control_port, self.data_port, self.feed_port, self.enrolment_port

    @property
    def enrolment_url(self) -> str:
        """How newcomers get there."""
        address = outward_address() if self.address == EVERY_ADDRESS else self.address
        return f"http://{address}:{self.enrolment_port}"

    @property
    def endpoint(self) -> str:
        """How this machine's own agent gets there."""
        address = "127.0.0.1" if self.address == EVERY_ADDRESS else self.address
        return f"tcp://{address}:{self.control_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports of one start: the page's and, when agents of other hosts are let in, the gate's are wished for.

    The others are whatever is free on the loopback.
    """

    web: int
    server_control: int
    server_data: int
    feed: int
    gate: Gate
    is_gated: bool = False


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


def outward_address() -> str:
    """Return the address under which others most likely reach this machine: that of its way out. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # RFC 5737: nobody's address; UDP only looks at the routes
            return str(asking.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def free_ports(web: int, gate: Gate | None = None) -> Ports:
    """Choose free loopback ports; `web` and `gate` are taken as they are."""
    with ExitStack() as opened:
        # The page and the gate take theirs in a moment.
        promised = (web, *(() if gate is None else gate.ports))
        bound = [opened.enter_context(bound_socket(avoided=promised)) for _ in range(5)]
        control, data, feed, *others = map(port_of, bound)
    own_gate = Gate(control_port=others[0], data_port=others[1])
    return Ports(
        web=web,
        server_control=control,
        server_data=data,
        feed=feed if gate is None else gate.feed_port,
        gate=gate or own_gate,
        is_gated=gate is not None,
    )


def read_gate(text: str) -> Gate:
    """Read "ADDRESS" or "ADDRESS:PORT"; the data port is the next one. Raises ValueError saying what was expected."""
    address, _, port = text.partition(":")
    control_port = int(port) if port.isascii() and port.isdigit() else 0 if port else DEFAULT_GATE_PORT
    try:
        IPv4Address(address)
    except ValueError:
        control_port = 0
    if not 0 < control_port <= 65_535 - 3:
        raise ValueError(f"expected an IPv4 address of this machine, or ADDRESS:PORT, found {text!r}")
    return Gate(address=address, control_port=control_port, data_port=control_port + 1)


def toml(settings: dict[str, Any]) -> str:
    """Write settings as TOML: whatever `tomllib` reads. Tables in one line, but for arrays of tables."""
    tables = {name: value for name, value in settings.items() if _is_of_tables(value)}
    lines = [_toml_line(name, value) for name, value in settings.items() if name not in tables]
    for name, each in tables.items():
        for table in each:
            lines += ["", f"[[{_toml_key(name)}]]", *(_toml_line(key, value) for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _is_of_tables(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(each, dict) for each in value)


def _toml_line(name: str, value: object) -> str:
    return f"{_toml_key(name)} = {_toml_value(value)}"


def _toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _toml_value(name)


def _toml_value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(each) for each in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(_toml_line(name, each) for name, each in value.items()) + "}"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)  # inf and nan are TOML's words, too
    # A JSON string is a TOML basic string once DEL, which JSON leaves as it is, is escaped.
    return json.dumps(value if isinstance(value, int) else str(value), ensure_ascii=True).replace("\x7f", "\\u007f")
