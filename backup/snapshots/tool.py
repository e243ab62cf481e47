"""The programs that make snapshots: run to their ends, with the reason in words when one fails."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run

if TYPE_CHECKING:
    from backup.runtime.namespace import MountNamespace

_SECONDS: Final = 600.0  # a snapshot first writes what is still in memory
_OUTPUT_BYTES: Final = 16 << 20
_WORDS: Final = 400
_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class Tool:
    """A program, and the Debian package it comes with."""

    def __init__(self, name: str, package: str) -> None:
        self._name, self._package = name, package

    def lack(self) -> str | None:
        """Return that it is not there, and what to do; None when it is."""
        if shutil.which(self._name, path=_ENVIRONMENT["PATH"]) is None:
            return f"the program {self._name} is not installed (apt install {self._package})"
        return None

    def run(self, *arguments: str, doing: str, namespace: MountNamespace | None = None) -> str:
        """Return what it writes. Raises SourceFailed when it fails or writes too much, TimedOut."""
        program = Program(
            arguments=[self._name, *arguments], environment=_ENVIRONMENT, doing=doing, namespace=namespace
        )
        try:
            ended = run(program, time_limit_seconds=_SECONDS, output_limit_bytes=_OUTPUT_BYTES)
        except OSError as error:
            raise SourceFailed(
                f"{doing}: {self._name} cannot be started ({error.strerror}): apt install {self._package}"
            ) from error
        if ended.exit_code != 0 or ended.output_was_cut:
            words = " ".join(ended.words.split())[-_WORDS:] or f"exit code {ended.exit_code}"
            raise SourceFailed(f"{doing}: {'there are too many' if ended.output_was_cut else words}")
        return ended.output
