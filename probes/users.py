"""Who is logged in (utmp(5); where nothing keeps one, the sessions of systemd-logind)."""

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Item, ProbeFailedError, Reading, Visit, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

_USER_PROCESS: Final = 7
# type, process, line, id, user, host, exit status, session, seconds, microseconds, address; and where glibc keeps no
# 32-bit form of it (64-bit ARM and others), session and times of 64 bits.
_ENTRY: Final = struct.Struct("=hxxi32s4s32s256shhiii16s20x")
_WIDE_ENTRY: Final = struct.Struct("=hxxi32s4s32s256shhqqq16s20x4x")
_WIDE_MACHINES: Final = ("aarch64", "riscv64", "loongarch64")
_MOST_SESSIONS: Final = 10_000

_ITEMS = (
    Item(key="users.sessions", unit="", description="Sessions of users logged in"),
    Item(key="users.distinct", unit="", description="Different users logged in"),
    Item(key="users.names", unit="", description="Names of the users logged in, with blanks between", type="text"),
)


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """When to look."""

    at_once: bool = field(
        default=False, metadata=setting("whether it is looked every second, and not only when due, for a login")
    )


def _has_news(visit: Visit, _parameters: Parameters) -> bool:
    return "changed" in visit.kept and _changed(visit) != visit.kept["changed"]


@probe("users", items=_ITEMS, parameters=Parameters, has_news=_has_news)
def read_users(visit: Visit, _parameters: Parameters) -> "Iterator[Reading]":
    """Count sessions whose process lives. No sessions where nobody records any."""
    visit.kept["changed"] = _changed(visit)
    names = _sessions_in_utmp(visit)
    if names is None:
        names = _sessions_of_logind(_run_folder(visit))
    distinct = sorted(set(names))
    yield Reading("users.sessions", float(len(names)))
    yield Reading("users.distinct", float(len(distinct)))
    yield Reading("users.names", " ".join(distinct))


def parse_utmp(content: bytes, machine: str) -> list[tuple[str, int]]:
    """Return (user, process) of each entry of a user's session."""
    form = _WIDE_ENTRY if machine in _WIDE_MACHINES else _ENTRY
    whole = len(content) - len(content) % form.size
    return [
        (entry[4].split(b"\0", 1)[0].decode(errors="replace"), entry[1])
        for entry in form.iter_unpack(content[:whole])
        if entry[0] == _USER_PROCESS
    ]


def _run_folder(visit: Visit) -> str:
    """Return the folder /run of the watched host, which is not ours when its proc filesystem lies elsewhere."""
    return "/run" if visit.proc == "/proc" else f"{visit.proc}/1/root/run"


def _sessions_in_utmp(visit: Visit) -> list[str] | None:
    path = f"{_run_folder(visit)}/utmp"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the style of this room: kernel and run files by os and open
            content = file.read(_MOST_SESSIONS * _ENTRY.size)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProbeFailedError(f"{path}: {error.strerror}") from error
    # A session that ended badly leaves its entry behind.
    entries = parse_utmp(content, os.uname().machine)
    return [user for user, process in entries if os.path.exists(f"{visit.proc}/{process}")]  # noqa: PTH110 - quicker


def _sessions_of_logind(run: str) -> list[str]:
    """Return the users of sessions of class user, as systemd-logind keeps them for its own restart."""
    folder = f"{run}/systemd/sessions"
    names = []
    try:
        files = [entry for entry in os.listdir(folder) if "." not in entry][:_MOST_SESSIONS]  # noqa: PTH208 - quicker
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ProbeFailedError(f"{folder}: {error.strerror}") from error
    for entry in files:
        try:
            with open(f"{folder}/{entry}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
                facts = dict(line.rstrip("\n").partition("=")[::2] for line in file)
        except OSError:
            continue  # the session ended meanwhile
        if facts.get("CLASS") == "user" and facts.get("USER"):
            names.append(facts["USER"])
    return names


def _changed(visit: Visit) -> tuple[float, ...]:
    """Return when the records of logins were last written."""
    found = []
    for name in ("utmp", "systemd/sessions"):
        try:
            found.append(os.stat(f"{_run_folder(visit)}/{name}").st_mtime)  # noqa: PTH116 - asked every second
        except OSError:
            found.append(0.0)
    return tuple(found)
