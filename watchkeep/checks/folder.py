"""The data folder: there, private, of one owner, with room; its description and its keys."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from core.security.keys import KeyFault, load
from watchkeep.checks.verdict import failure, fine, unknown, warning
from watchkeep.checks.wording import count, names, size

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from watchkeep.checks.subject import Subject
    from watchkeep.checks.verdict import Verdict

LITTLE_BYTES: Final = 2_000_000_000
TOO_LITTLE_BYTES: Final = 300_000_000
"""The embedded database may write up to 1 GB of log before it makes a checkpoint."""


def check_data_folder(subject: Subject) -> Verdict:
    """It is there, others may not look in, and all in it has one owner."""
    check, data = "data folder", subject.data
    try:
        state = data.stat()
        entries = list(data.iterdir())
    except FileNotFoundError:
        return failure(check, f"{data} does not exist", "name it with --data, or start `watchkeep up`, which makes it")
    except NotADirectoryError:
        return failure(check, f"{data} is no folder", "name another with --data")
    except PermissionError:
        return failure(check, f"{data} may not be read by this user", "run the doctor as its owner, or as root")
    owner = _user(state.st_uid)
    foreign = [path.name for path, its in _states(entries, follow_symlinks=False) if its.st_uid != state.st_uid]
    if foreign:
        return failure(
            check,
            f"belongs to {owner}, but not so {names(sorted(foreign))}",
            f"stop Watchkeep, then: chown -R {owner} {data}",
        )
    if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(state.st_mode)
        return warning(check, f"others may enter {data} (mode {mode:o})", f"chmod 700 {data}")
    return fine(check, f"{data}, of {owner}, private")


def check_free_disk(subject: Subject) -> Verdict:
    """There is room for the database and the spools."""
    check = "free disk"
    try:
        room = shutil.disk_usage(subject.data)
    except OSError as error:
        return unknown(check, f"cannot be asked: {error.strerror}")
    message = f"{size(room.free)} of {size(room.total)} free"
    remedy = f"make room on the disk of {subject.data}, or shorten `retention`"
    if room.free < TOO_LITTLE_BYTES:
        return failure(check, message, remedy)
    return warning(check, message, remedy) if room.free < LITTLE_BYTES else fine(check, message)


def check_installation(subject: Subject) -> Verdict:
    """installation.json says how to reach the database and the page."""
    check = "installation.json"
    if subject.installation is None:
        return failure(check, subject.installation_fault, "`watchkeep up` writes it at every start")
    path = subject.data / "installation.json"
    if any(its.st_mode & (stat.S_IRWXG | stat.S_IRWXO) for _, its in _states([path])):
        return failure(check, "others may read it, and it holds the database's password", f"chmod 600 {path}")
    return fine(check, f"readable, its page is {subject.installation.url}")


def check_keys(subject: Subject) -> Verdict:
    """Every key file is whole and private."""
    check, folder = "key files", subject.data / "keys"
    try:
        found = _states(sorted([*folder.glob("*.key"), *subject.data.glob("*.key")]))
    except OSError as error:
        return failure(check, f"{folder} cannot be read: {error.strerror}", "run the doctor as its owner, or as root")
    paths = [path for path, _ in found]
    open_to_others = [path.name for path, its in found if its.st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if open_to_others:
        return failure(
            check, f"others may read {names(open_to_others)}", "chmod 600 " + " ".join(str(path) for path in paths)
        )
    faults = [fault for path in paths if (fault := _key_fault(path))]
    if faults:
        return failure(check, "; ".join(faults), "without its key a part makes a new one, which must be allowed anew")
    if not paths:
        return unknown(check, "none here")
    return fine(check, f"{count(len(paths), 'key pair')}, private: {names([path.stem for path in paths])}")


def _states(paths: Iterable[Path], *, follow_symlinks: bool = True) -> list[tuple[Path, os.stat_result]]:
    """Return what can be said of the files that are still there: a running part puts new ones in their place."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            found.append((path, path.stat(follow_symlinks=follow_symlinks)))
    return found


def _key_fault(path: Path) -> str:
    try:
        load(path)
    except KeyFault as error:
        return str(error)
    return ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid) if uid != os.getuid() else f"this user ({uid})"
