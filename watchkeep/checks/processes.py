"""The parts' processes on this machine: running, and with file descriptors to spare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchkeep.checks.subject import PARTS
from watchkeep.checks.verdict import failure, fine, unknown, warning
from watchkeep.checks.wording import names

if TYPE_CHECKING:
    from watchkeep.checks.subject import Subject
    from watchkeep.checks.verdict import Verdict

MUCH_USED: Final = 0.7


def check_running(subject: Subject) -> Verdict:
    """Every part that has a configuration here has a process."""
    check = "processes"
    expected = [part for part in PARTS if subject.config_file(part).exists()]
    if not expected:
        return unknown(check, "no part has its configuration here")
    missing = [part for part in expected if part not in subject.processes]
    if missing == expected:
        return failure(check, "Watchkeep is not running", f"start it: watchkeep up --data {subject.data}")
    if missing:
        logs = ", ".join(str(subject.data / "log" / f"{part}.log") for part in missing)
        return failure(check, f"not running: {names(missing)}", f"its log says why: {logs}")
    return fine(check, ", ".join(f"{part} {subject.processes[part].pid}" for part in expected))


def check_descriptors(subject: Subject) -> Verdict:
    """No part is near the most files and connections it may have open."""
    check = "file descriptors"
    told, near = [], []
    for part, process in subject.processes.items():
        if process.file_limit is None or process.open_files is None:
            continue
        told.append(f"{part} {process.open_files} of {process.file_limit}")
        if process.open_files > MUCH_USED * process.file_limit:
            near.append(f"{part} uses {process.open_files} of {process.file_limit}")
    if not told:
        return unknown(check, "no process whose descriptors this user may count")
    if near:
        return warning(check, "; ".join(near), "raise the limit before starting it: ulimit -n 65536")
    return fine(check, ", ".join(told))
