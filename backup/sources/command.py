"""Any program's standard output as a source: an appliance's export, a database we do not know."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import IO, TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.sources.contract import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.source import CommandSettings

RECORD_FILE: Final = "consistency.json"
_HOLE_BYTES: Final = 64 << 10
_HOLE: Final = bytes(_HOLE_BYTES)
_WORDS: Final = 600
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TZ")


class CommandSource:
    """Runs a program by its argument list, without a shell, and saves what it writes as one file.

    Its exit code counts, and it must have written something: an empty backup is never "ok".
    """

    kind = "command"

    def __init__(self, settings: CommandSettings, time_limit_seconds: float) -> None:
        self._settings = settings
        self._time_limit_seconds = time_limit_seconds

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:
        """Run the program; its output takes as much room in `scratch` as it has bytes other than zero."""
        program = which(self._settings.arguments[0])
        if program is None or not Path(program).is_absolute():
            raise SourceFailed(f"there is no program {self._settings.arguments[0]!r}: name it by its whole path")
        taken_at, began = datetime.now(UTC), time.monotonic()
        with (scratch / self._settings.file_name).open("xb") as file:
            output = _Output(file, self._settings.largest, program)
            ended = run(
                Program(
                    arguments=[program, *self._settings.arguments[1:]],
                    environment={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                    doing=f"running {program}",
                ),
                time_limit_seconds=self._time_limit_seconds,
                take_output=output.take,
            )
            output.end()
        if ended.exit_code != 0:
            words = " ".join(ended.words.split())[-_WORDS:] or "without a word"
            raise SourceFailed(f"{program} ended with exit code {ended.exit_code}: {words}")
        if not output.size_bytes:
            raise SourceFailed(f"{program} wrote nothing to its standard output, so there is nothing to save")
        # Its arguments are left out: manifests are no secret, arguments may be.
        record = {
            "program": program,
            "file": self._settings.file_name,
            "bytes": output.size_bytes,
            "sha256": output.sha256,
            "taken_at": taken_at.isoformat(),
            "took_seconds": round(time.monotonic() - began, 3),
        }
        (scratch / RECORD_FILE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        yield Prepared(root=scratch, consistency=record, covers={"program": program})


class _Output:
    """Writes a stream to a file with holes where it has long runs of zeros, and digests it."""

    def __init__(self, file: IO[bytes], largest: int, program: str) -> None:
        self.size_bytes = 0
        self._file, self._largest, self._program = file, largest, program
        self._digest = hashlib.sha256()
        self._held = bytearray()

    @property
    def sha256(self) -> str:
        """The digest of all that was taken, in hex."""
        return self._digest.hexdigest()

    def take(self, piece: bytes) -> None:
        """Take the next piece. Raises SourceFailed when it becomes more than is allowed."""
        self.size_bytes += len(piece)
        if self.size_bytes > self._largest:
            raise SourceFailed(
                f"{self._program} writes more than {self._largest} bytes: set command.largest if it is to"
            )
        self._digest.update(piece)
        self._held += piece
        while len(self._held) >= _HOLE_BYTES:
            block = bytes(self._held[:_HOLE_BYTES])
            del self._held[:_HOLE_BYTES]
            if block == _HOLE:
                self._file.seek(_HOLE_BYTES, os.SEEK_CUR)
            else:
                self._file.write(block)

    def end(self) -> None:
        """Write what is left; the file has its whole length then, also when it ends in a hole."""
        self._file.write(self._held)
        self._file.truncate(self.size_bytes)
