"""Ends what a live backup of a domain holds open, also when the run is killed: a program of its own.

    python guardian.py URI DOMAIN FOLDER

Lines on its standard input: "freeze" says that the guest is about to be frozen and the job to begin, "thaw" that it has
begun or failed, and has the guest thawed, "forget" the same of a guest that did not freeze. At the end of its input,
which the kernel brings about when the run dies, it thaws what was not thawed, ends the backup job whose socket lies in
FOLDER and removes that folder. It imports nothing of ours, so that it starts at once and needs no path. Exit code 1:
something could not be ended; its words say what.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_TRIES = 6
_LOOK_SECONDS = 0.5
_BEGIN_SECONDS = 20.0
_CALL_SECONDS = 15


def main() -> int:
    """Wait for orders, then end things. Returns the exit code."""
    uri, domain, folder = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # a stopped service signals us too: we end by EOF
        signal.signal(number, signal.SIG_IGN)
    is_owing = is_beginning = False
    faults = []
    mark = Path(folder) / "frozen"  # for the next run, should we be killed as well
    for line in sys.stdin:  # until its end
        if line == "freeze\n":
            is_owing = is_beginning = True
            mark.touch()
        elif line == "thaw\n" and is_owing:
            is_beginning = False
            is_owing = thaw(uri, domain) is not None
        elif line == "forget\n":  # the freeze failed: one try, since a part of it may have happened
            call(uri, "domfsthaw", domain)
            is_owing = is_beginning = False
        if not is_owing:
            mark.unlink(missing_ok=True)
        say(1, "frozen\n" if is_owing else "thawed\n")
    if is_owing and (fault := thaw(uri, domain)) is not None:
        faults.append(fault)
    if (fault := end_job(uri, domain, folder, wait_seconds=_BEGIN_SECONDS if is_beginning else 0)) is not None:
        faults.append(fault)
    shutil.rmtree(folder, ignore_errors=True)
    say(2, "; ".join(faults))
    return 1 if faults else 0


def say(descriptor: int, text: str) -> None:
    """Write a text to whoever listens; nobody may."""
    with contextlib.suppress(OSError):
        os.write(descriptor, text.encode())


def thaw(uri: str, domain: str) -> str | None:
    """Thaw the guest's file systems; return what is in the way, or None. A guest that was never frozen is no fault."""
    fault = None
    for _ in range(_TRIES):
        fault = call(uri, "domfsthaw", domain)
        if fault is None:
            return None
        time.sleep(1)
    return f"the guest could not be thawed: {fault}"


def end_job(uri: str, domain: str, folder: str, wait_seconds: float = 0) -> str | None:
    """End the domain's backup job when its socket lies in `folder`; return what is in the way, or None.

    wait_seconds: how long to wait for one that libvirt may still be beginning, whose caller is dead.
    """
    until = time.monotonic() + wait_seconds
    while f"'{folder}/" not in read_job(uri, domain):
        if time.monotonic() >= until:
            return None
        time.sleep(_LOOK_SECONDS)
    fault = None
    for _ in range(_TRIES * 4):  # one that is just beginning cannot be ended at once
        fault = call(uri, "domjobabort", domain)
        if f"'{folder}/" not in read_job(uri, domain):
            return None
        time.sleep(_LOOK_SECONDS)
    return f"the backup job goes on: {fault}"


def read_job(uri: str, domain: str) -> str:
    """Return the XML of the domain's backup job; empty when it has none."""
    done = virsh(uri, "backup-dumpxml", domain)
    return done.stdout if done is not None and done.returncode == 0 else ""


def call(uri: str, command: str, domain: str) -> str | None:
    """Call virsh; return its words when it failed."""
    done = virsh(uri, command, domain)
    if done is None:
        return f"virsh {command} took longer than {_CALL_SECONDS} s"
    return None if done.returncode == 0 else " ".join(done.stderr.split())[-300:] or str(done.returncode)


def virsh(uri: str, command: str, domain: str) -> subprocess.CompletedProcess[str] | None:
    """Run virsh for a while; None when it took too long."""
    arguments = ["virsh", f"--connect={uri}", "--quiet", command, f"--domain={domain}"]
    try:
        return subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_CALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        return None


if __name__ == "__main__":
    os.chdir("/")
    sys.exit(main())
