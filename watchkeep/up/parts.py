"""The parts of a local installation: what configuration each gets, and how it is run."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from watchkeep.installation import TAIL, write_private
from watchkeep.up.children import Child, own_process
from watchkeep.up.faults import UpError
from watchkeep.up.layout import PROXY_NAME, SERVER_NAME, toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from watchkeep.up.enrolment import Enrolled
    from watchkeep.up.layout import Layout, LocalAgent, Ports


_HEAD: Final = "# Written by `watchkeep up` at every start. Settings you add stay, comments do not.\n"
_SOMETIMES: Final = {
    "server": (
        "restore_station", "enrolment_listen", "enrolment_port", "enrolment_url", "enrolment_by_approval",
        "enrolment_upstreams",
    ),
    "agent": ("backup", "drills"),
}  # fmt: skip
"""What is set in some starts only: left over from another start, it is not the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """What the parts are told of the backups, and what is said to whoever started them. No files: backups are off."""

    host_file: Path | None = None
    station_file: Path | None = None
    pruner_file: Path | None = None
    notes: tuple[str, ...] = ()


def write_configurations(
    layout: Layout, ports: Ports, agent: LocalAgent, enrolled: Enrolled, dsn: str, backups: Backups
) -> None:
    """Write each part's configuration, made anew at every start since the ports are; what a user added stays.

    Raises UpError when a file that is there cannot be understood.
    """
    settings: dict[str, dict[str, Any]] = {
        "server": {
            "name": SERVER_NAME,
            "dsn": dsn,
            "key_file": layout.key_file(SERVER_NAME),
            "secrets": layout.data / "secrets",
            "control_port": ports.server_control,
            "data_port": ports.server_data,
            "feed_listen": ports.gate.address,
            "feed_port": ports.feed,
            "web_port": ports.web,
        },
        "proxy": {
            "name": PROXY_NAME,
            "data": layout.proxy,
            "key_file": layout.key_file(PROXY_NAME),
            "secrets": layout.data / "secrets",
            "listen": ports.gate.address,
            "control_port": ports.gate.control_port,
            "data_port": ports.gate.data_port,
            "servers": [{"endpoint": f"tcp://127.0.0.1:{ports.server_control}", "key": enrolled.server_key}],
        },
        "agent": {
            "name": agent.name,
            "source": agent.source,
            "data": layout.data / "agent",
            "key_file": layout.key_file("agent"),
            "upstreams": [{"endpoint": ports.gate.endpoint, "key": enrolled.proxy_key}],
        },
        TAIL: {
            "key_file": layout.key_file(TAIL),
            "feeds": [{"endpoint": f"tcp://127.0.0.1:{ports.feed}", "key": enrolled.server_key}],
        },
    }
    if backups.host_file is not None and backups.station_file is not None:
        settings["agent"] |= {"backup": backups.host_file, "drills": backups.station_file}
        settings["server"]["restore_station"] = backups.station_file
    if ports.is_gated:
        gate = ports.gate
        settings["server"] |= {
            "enrolment_listen": gate.address,
            "enrolment_port": gate.enrolment_port,
            "enrolment_url": gate.enrolment_url,
            "enrolment_by_approval": True,
            "enrolment_upstreams": [{"endpoint": f"tcp://*:{gate.control_port}", "key": enrolled.proxy_key}],
        }
    for part, values in settings.items():
        file = layout.config_file(part)
        added = _added_by_user(file, [*values, *_SOMETIMES.get(part, ())])
        write_private(file, f"{_HEAD}# Set here: {', '.join(values)}.\n" + toml(added | values))


def _added_by_user(file: Path, ours: Sequence[str]) -> dict[str, Any]:
    """Return the settings in a part's file that are not `ours` to set."""
    try:
        found = tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UpError(f"{file} cannot be understood ({error}): correct it, or delete it to begin anew") from error
    return {name: value for name, value in found.items() if name not in ours}


def make_children(layout: Layout, prefix: Sequence[str]) -> list[Child]:
    """Return the daemons in the order in which they are started; `prefix` drops root."""
    programs = {
        "server": ("-m", "watchkeep", "server"),
        "proxy": ("-m", "watchkeep", "proxy"),
        "agent": ("-m", "agent"),
    }
    return [
        Child(
            name=part,
            arguments=own_process(prefix, sys.executable, *program, "--config", str(layout.config_file(part))),
            log_file=layout.logs / f"{part}.log",
            reads_all=part == "agent",
        )
        for part, program in programs.items()
    ]
