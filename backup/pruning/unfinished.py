"""The pruner's notes of chains it is about to delete, so that a killed pruner's next run goes on where it stopped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from backup.errors import WorkFailed
from backup.model import instant_name, read_instant
from backup.pruning.stock import ChainFiles
from backup.runtime.durable import write_durably
from backup.targets.small import parse_table

if TYPE_CHECKING:
    from pathlib import Path

_FORM: Final = "watchkeep-unfinished-1"
_ENDING: Final = ".json"


class UnfinishedNotes:
    """The notes of one set at one target: a file a chain, in a folder of the pruner's work folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, going: ChainFiles) -> None:
        """Note what is about to go, durably. Raises WorkFailed."""
        table = {"form": _FORM, "chain": going.chain, "manifests": dict(going.manifests), "files": dict(going.files)}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(self._folder / f"{going.chain}{_ENDING}", json.dumps(table, indent=1) + "\n")
        except OSError as error:
            raise WorkFailed(f"{self._folder} cannot be written: {error.strerror}") from error

    def read(self) -> list[ChainFiles]:
        """Return what was noted, oldest chain first. Raises WorkFailed naming a note that cannot be read."""
        return [self._read(file) for file in sorted(self._folder.glob(f"*{_ENDING}"))]

    def remove(self, chain: str) -> None:
        """Take a note away; one that is not there is no error."""
        (self._folder / f"{chain}{_ENDING}").unlink(missing_ok=True)

    @staticmethod
    def _read(file: Path) -> ChainFiles:
        try:
            table = parse_table(file.read_bytes(), _FORM)
            names = {
                kind: {str(name): int(size) for name, size in table[kind].items()} for kind in ("manifests", "files")
            }
            return ChainFiles(chain=instant_name(read_instant(table["chain"])), **names)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorkFailed(
                f"{file} cannot be read ({error}): remove it; what is left of its chain goes as files no manifest names"
            ) from error
