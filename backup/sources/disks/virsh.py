"""libvirt by its own client, virsh: its domains, their checkpoints, and the errors in libvirt's words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.sources.disks.domain import read_domain

if TYPE_CHECKING:
    from collections.abc import Collection

    from backup.runtime.child import Ended
    from backup.sources.disks.domain import Domain

CALL_SECONDS: Final = 60.0
_WORDS: Final = 400
_PASSED_ON: Final = ("PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "LIBVIRT_AUTH_FILE")


class Virsh:
    """Calls virsh for one libvirt. Every call has a time limit; its exit code counts."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def ask(self, *arguments: str, doing: str, seconds: float = CALL_SECONDS) -> str:
        """Return what a call answers. Raises SourceFailed with libvirt's own words, TimedOut."""
        ended = self.try_(*arguments, doing=doing, seconds=seconds)
        if ended.exit_code != 0:
            raise SourceFailed(f"{doing}: {words_of(ended)}")
        return ended.output

    def try_(self, *arguments: str, doing: str, seconds: float = CALL_SECONDS) -> Ended:
        """Make a call that may fail. Raises SourceFailed when there is no virsh, TimedOut."""
        program = Program(
            arguments=["virsh", f"--connect={self.uri}", "--quiet", *arguments], environment=environment(), doing=doing
        )
        try:
            return run(program, time_limit_seconds=seconds, output_limit_bytes=8 << 20)
        except OSError as error:
            raise SourceFailed(f"virsh cannot be started ({error.strerror}): install libvirt's clients") from error

    def domain(self, name: str, exclude: Collection[str] = ()) -> Domain:
        """Return what a domain is now; `exclude` names disks that are not saved.

        Raises SourceFailed when there is none of this name.
        """
        doing = f"looking at domain {name!r}"
        state = self.ask("domstate", f"--domain={name}", doing=doing).strip()
        return read_domain(self.definition(name, is_live=True), exclude, is_running=state != "shut off")

    def definition(self, name: str, *, is_live: bool) -> str:
        """Return a domain's XML: what it runs with, or what it is started from next, with its secrets."""
        options = [] if is_live else ["--inactive", "--security-info"]
        return self.ask("dumpxml", f"--domain={name}", *options, doing=f"reading the definition of {name!r}")

    def sizes(self, name: str) -> dict[str, int]:
        """Return how many bytes each disk has for its guest, by its target's name; unknown ones are left out."""
        text = self.ask("domblkinfo", f"--domain={name}", "--all", doing=f"reading the sizes of {name!r}'s disks")
        rows = [line.split() for line in text.splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 4 and row[1].isdigit()}

    def checkpoints(self, name: str) -> list[str]:
        """Return the names of a domain's checkpoints."""
        text = self.ask("checkpoint-list", f"--domain={name}", "--name", doing=f"listing checkpoints of {name!r}")
        return text.split()


def environment() -> dict[str, str]:
    """Return the environment of libvirt's and QEMU's programs: their words in English, nothing of ours."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C.UTF-8"}


def words_of(ended: Ended) -> str:
    """Return what a program said when it failed, in one line."""
    return " ".join(ended.words.split())[-_WORDS:] or f"exit code {ended.exit_code} without a word"
