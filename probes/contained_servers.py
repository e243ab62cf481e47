"""Database servers that run in containers on this machine, found by their processes: nobody can be asked there.

A process of another PID namespace (below ours) has several numbers in `NSpid` of /proc/PID/status (proc(5)); in a
container that shares ours the control group tells. Both can be read by anybody. Which container it is the control group
says, by an id (Docker, Podman, containerd, CRI-O) or a name (LXC, Incus, systemd-nspawn); the names behind Docker's and
Podman's ids stand in files of theirs that root may read.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.model.things import readable

UNNAMED: Final = "an unnamed container"
_ENGINES: Final = {"postgres": "postgresql", "mariadbd": "mariadb", "mysqld": "mysql"}
_ID: Final = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?=[./]|$)", re.MULTILINE)
_NAMES: Final = (
    re.compile(r"/lxc(?:\.payload\.|/)([^/\n]+)"),
    re.compile(r"/(?:machine-|systemd-nspawn@)([^/\n]+?)\.(?:scope|service)"),
)
_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{2})")  # as systemd writes names of units
_ID_LETTERS: Final = 12  # as `docker ps` shows it
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ContainedServer:
    """A server of an engine in a container, which has a name, or an id where nobody tells one."""

    engine: str
    container: str


def contained_servers(proc: str, root: Path = Path("/")) -> list[ContainedServer]:
    """Return the servers in containers other than our own, each once. What ends meanwhile is left out."""
    own = _place(Path(proc, "self"))
    found: set[ContainedServer] = set()
    for pid in os.listdir(proc):  # noqa: PTH208 - the style of this room
        engine = _ENGINES.get(_text(Path(proc, pid, "comm")).strip()) if pid.isdigit() else None
        if engine is not None:
            place, status = _place(Path(proc, pid)), _text(Path(proc, pid, "status"))
            if _is_below(status) or (place and place != own):
                found.add(ContainedServer(engine=engine, container=_said(place, root)))
    return sorted(found)


def _is_below(status: str) -> bool:
    """Whether a process is of a PID namespace below the reader's."""
    return any(line.startswith("NSpid:") and len(line.split()) > 2 for line in status.splitlines())


def _place(process: Path) -> str:
    """Return the id or the name of the container that a process is in, by its control groups; empty when in none."""
    groups = _text(process / "cgroup")
    if (match := _ID.search(groups)) is not None:
        return match[1]
    for form in _NAMES:
        if (match := form.search(groups)) is not None:
            return _ESCAPE.sub(lambda code: chr(int(code[1], 16)), match[1])
    return ""


def _said(place: str, root: Path) -> str:
    if not _ID.fullmatch(place):
        return readable(place) or UNNAMED
    known = dict(_names(root, place))
    return readable(known.get(place, "")) or place[:_ID_LETTERS]


def _names(root: Path, container: str) -> Iterator[tuple[str, str]]:
    """Yield ids and names that Docker and Podman keep, as far as they may be read."""
    docker = _json(root / "var/lib/docker/containers" / container / "config.v2.json")
    if isinstance(docker, Mapping):
        yield container, str(docker.get("Name", "")).lstrip("/")
    podman = _json(root / "var/lib/containers/storage/overlay-containers/containers.json")
    for each in podman if isinstance(podman, list) else ():
        names = each.get("names") if isinstance(each, Mapping) else None
        if isinstance(names, list) and names:
            yield str(each.get("id")), str(names[0])


def _json(file: Path) -> Any:
    try:
        return json.loads(_text(file) or "null")
    except (ValueError, RecursionError):
        return None


def _text(file: Path) -> str:
    """Return the beginning of a file; nothing where there is none, or none for us."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_MOST_BYTES)
    except OSError:
        return ""
