"""One run of `bkp` as a program of its own, ended with whoever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from typing import TYPE_CHECKING, Final

from core.runtime.reading_right import hand_on, is_kept

if TYPE_CHECKING:
    from collections.abc import Callable

END_SECONDS: Final = 8.0
"""What a run may take to end in order when the agent stops; `watchkeep up` waits 15 s for the agent."""
_TAIL_BYTES: Final = 4000
_LONGEST_LINE: Final = 1 << 16


async def run_child(
    command: list[str],
    limit_seconds: float,
    heard: Callable[[str], None] = lambda line: None,  # noqa: ARG005 - nobody listens
    stop: asyncio.Event | None = None,
    *,
    reads_all: bool = False,
) -> tuple[int, str]:
    """Return exit code and last words on standard error. The child has ended when this returns or raises.

    `heard` is told each line of its standard output. Cancelled, or when `stop` is set, the child is ended first.
    reads_all: it gets the right to read every file, where we have it.
    """
    process = await asyncio.create_subprocess_exec(
        *end_with_us(),
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=_LONGEST_LINE,
        preexec_fn=hand_on if reads_all and is_kept() else None,
    )
    words = asyncio.create_task(_tail(process.stderr))
    done = asyncio.gather(words, _tell(process.stdout, heard), process.wait())
    stopped = asyncio.create_task((stop or asyncio.Event()).wait())
    try:
        async with asyncio.timeout(limit_seconds):
            await asyncio.wait((done, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            return await _end(process), "it was cancelled"
    except TimeoutError:
        return await _end(process), f"it was ended after {limit_seconds:g} s"
    except asyncio.CancelledError:
        await _end(process)
        raise
    finally:
        stopped.cancel()
        done.cancel()
        await asyncio.gather(done, stopped, return_exceptions=True)
    _, _, code = done.result()
    lines = words.result().decode(errors="replace").strip().splitlines()
    return code, lines[-1][:500] if lines else ""


def end_with_us() -> list[str]:
    """Return what makes the child get SIGTERM when the agent is killed: nobody would end it at its limit then."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM", "--"]


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    tail = b""
    while stream is not None and (part := await stream.read(_TAIL_BYTES)):
        tail = (tail + part)[-_TAIL_BYTES:]
    return tail


async def _tell(stream: asyncio.StreamReader | None, heard: Callable[[str], None]) -> None:
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:  # longer than any line of ours: what is left of it is passed over
            continue
        if not line:
            break
        heard(line.decode(errors="replace"))


async def _end(process: asyncio.subprocess.Process) -> int:
    """SIGTERM; SIGKILL to the whole session when that does not help."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_SECONDS):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return await process.wait()
