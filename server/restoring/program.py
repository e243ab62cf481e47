"""Runs `bkp … --json` for the API: few at a time, each with a time limit, none left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AT_ONCE: Final = 2
MOST_WAITING: Final = 8
END_SECONDS: Final = 5.0
# Some 70,000 files of a folder. What is made of an answer is made in the server's one loop, which has to renew its
# lease every second: 8 MiB hold it up for 0.4 s, 64 MiB did for 4 s.
_MOST_ANSWER_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How `bkp` ended: its exit code, its JSON document, and in words what went wrong (empty when nothing did)."""

    exit_code: int
    document: dict[str, Any]
    error: str


class TooBusy(Exception):
    """As many calls run and wait already as may."""


class BackupProgram:
    """The restore station's `bkp`, by its configuration file."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def call(self, command: str, options: Sequence[str], *words: str, limit_seconds: float) -> Answered:
        """Run a command and return how it ended; cancelled or late, it is ended first. `words` never count as options.

        Raises TooBusy, TimeoutError, OSError (it cannot be started).
        """
        if self._waiting >= MOST_WAITING:
            raise TooBusy
        self._waiting += 1
        try:
            async with asyncio.timeout(limit_seconds), self._turn:
                return await self._run(
                    [sys.executable, "-m", "backup.command", command, *options, "--json",
                     "--config", str(self.config), "--", *words]
                )  # fmt: skip
        finally:
            self._waiting -= 1

    async def _run(self, arguments: list[str]) -> Answered:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            answer = b"" if process.stdout is None else await _read(process.stdout)
            code = await process.wait()
        finally:
            await _end(process)
        return _understand(code, answer)


async def _read(stream: asyncio.StreamReader) -> bytes:
    pieces, size = [], 0
    while piece := await stream.read(1 << 16):
        size += len(piece)
        if size > _MOST_ANSWER_BYTES:
            raise OSError(f"it is more than {_MOST_ANSWER_BYTES >> 20} MiB of text: use `bkp` on the restore station")
        pieces.append(piece)
    return b"".join(pieces)


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, then SIGKILL to its session; returns when it has ended."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _understand(code: int, answer: bytes) -> Answered:
    try:
        document = json.loads(answer) if answer else {}
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    error = document.get("error")
    if isinstance(error, dict):
        return Answered(exit_code=code, document={}, error=str(error.get("message", "")))
    words = "" if code == 0 else f"bkp ended with exit code {code}"
    return Answered(exit_code=code, document=document, error=words)
