"""Starts a program for a probe: bounded in time and output, and nothing it started is left behind."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from probes.declaration import ProbeFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pwd import struct_passwd

MOST_OUTPUT_BYTES: Final = 64 * 1024
PROGRAM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT: Final = {
    "PATH": PROGRAM_PATH,
    "LANG": "C.UTF-8",
    "HOME": "/",
}
_LOOK_SECONDS: Final = 0.05  # between two looks whether a program has ended whose output others hold open
_ENDING_SECONDS: Final = 0.005  # the same once it has closed its output


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended. `status` is negative for a signal; texts are cut at the bound, then `is_cut`."""

    status: int
    output: str
    errors: str
    is_cut: bool
    seconds: float


def run_program(
    words: Sequence[str],
    timeout_seconds: float,
    *,
    most_output_bytes: int = MOST_OUTPUT_BYTES,
    account: struct_passwd | None = None,
) -> Ended:
    """Run a program without a shell, in an environment of its own, in `/`, with nothing to read.

    Each of its two outputs is kept up to `most_output_bytes`. With an account it has that one's rights and home, and
    nothing of ours: for root only.
    Blocks. When the program ends or time is up, its whole process group is killed, so a program must not leave work
    behind. Raises ProbeFailedError when it cannot be started or did not end in time.
    """
    started_at = time.monotonic()
    try:
        process = subprocess.Popen(
            list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=_ENVIRONMENT if account is None else _ENVIRONMENT | {"HOME": account.pw_dir}, cwd="/",
            user=None if account is None else account.pw_uid, group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else (), start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProbeFailedError(f"{words[0]} cannot be started: {reason}") from error
    with process:
        try:
            parts, is_cut, has_ended = _gather(process, started_at + timeout_seconds, most_output_bytes)
        finally:
            # Before it is reaped: only so long is its number, and its group's, certainly its own.
            with suppress(PermissionError):  # it made itself another user's
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if not has_ended:
        raise ProbeFailedError(f"{words[0]} did not end within {timeout_seconds:g} s and was killed")
    output, errors = (part.decode(errors="replace") for part in parts)
    seconds = time.monotonic() - started_at
    return Ended(status=process.returncode, output=output, errors=errors, is_cut=is_cut, seconds=seconds)


def _gather(
    process: subprocess.Popen[bytes], give_up_at: float, most_bytes: int
) -> tuple[tuple[bytes, bytes], bool, bool]:
    """Return what was written, whether that is cut, and whether the program ended in time; it is not reaped."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    assert process.stderr is not None  # noqa: S101 - asked for above
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    is_cut = has_ended = False
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            selector.register(pipe, selectors.EVENT_READ)
        while not has_ended and time.monotonic() < give_up_at:
            has_ended = _has_ended(process.pid)
            # What it wrote before it ended is there now; who else holds the pipes is not waited for.
            while ready := selector.select(0 if has_ended else _LOOK_SECONDS):
                for key, _ in ready:
                    part = os.read(key.fd, 1 << 16)
                    if not part:
                        selector.unregister(key.fileobj)
                        continue
                    room = most_bytes - len(kept[key.fileobj])  # type: ignore[index]  # one of the two pipes
                    kept[key.fileobj] += part[:room]  # type: ignore[index]  # as above
                    is_cut |= len(part) > room
                if time.monotonic() > give_up_at:
                    break
            if not selector.get_map() and not has_ended:
                time.sleep(_ENDING_SECONDS)
    return (bytes(kept[process.stdout]), bytes(kept[process.stderr])), is_cut, has_ended


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
