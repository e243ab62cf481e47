"""Which of a server's programs a proof is made with, and what is said of that: pure.

Those of the version that was saved. A dump may also be loaded into another: the next newer one, as one would do who has
lost the old. Files and dumps of one series are alike: PostgreSQL's first number, the first two of MariaDB and MySQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backup.model import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Programs of a server. folder: where they lie; None: where PATH leads. version: as the server says it."""

    folder: Path | None
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKind:
    """Whose server. numbers: how many of a version's make a series. setting: its folder's name in [drills].

    server: its program. needed: the others a proof starts from the same folder. asking: how it says its version.
    """

    title: str
    numbers: int
    setting: str
    server: str
    needed: tuple[str, ...] = ()
    asking: tuple[str, ...] = ("--no-defaults", "--version")

    def series(self, version: str | None) -> tuple[int, ...]:
        """Return the numbers of a version's series; none when it is not known."""
        found = version_in(version or "")
        return () if found is None else tuple(int(number) for number in found.split(".")[: self.numbers])

    def series_text(self, version: str | None) -> str:
        """Return them for people: "15", "10.11"."""
        return ".".join(str(number) for number in self.series(version))


POSTGRESQL: Final = ServerKind(
    title="PostgreSQL", numbers=1, setting="postgresql_programs", server="postgres", needed=("initdb",),
    asking=("--version",),
)  # fmt: skip
MARIADB: Final = ServerKind(title="MariaDB", numbers=2, setting="mariadb_programs", server="mariadbd")
MYSQL: Final = ServerKind(title="MySQL", numbers=2, setting="mysql_programs", server="mysqld")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenIn:
    """The server that a proof is made in, beside the one that was saved.

    saved: that one's version, None where the manifest does not tell it. how: how it was saved ("dumped"). searched:
    where programs were looked for, as it is said after "no programs of 15".
    """

    kind: ServerKind
    programs: Programs
    saved: str | None
    how: str
    searched: str = "here"

    @property
    def version(self) -> str:
        """The version of the server."""
        return version_in(self.programs.version) or self.programs.version

    @property
    def saved_version(self) -> str | None:
        """The version of the one that was saved."""
        return version_in(self.saved or "")

    def words(self) -> str:
        """Return both for people, as it is said after what was proven."""
        own, saved = self.version, self.saved_version
        if saved is None:
            return f"in {self.kind.title} {own}"
        if own == saved:
            return f"in {self.kind.title} {own}, as it was {self.how}"
        return f"in {self.kind.title} {own}, {self.how} from {saved}{self._lacking()}"

    def doubt(self) -> str:
        """Return what to say first when it did not work in an older server than it was saved from; else nothing."""
        if not self._is_older():
            return ""
        series = self.kind.series_text(self.saved)
        return (
            f" in {self.kind.title} {self.version}, which is older than what was {self.how} ({self.saved_version}):"
            f" install {series}'s programs at this station, or name their folder as drills.{self.kind.setting}"
        )

    def table(self) -> dict[str, Any]:
        """Return both as plain JSON values."""
        return {"program": self.kind.title, "version": self.version, "saved_version": self.saved_version}

    def _is_older(self) -> bool:
        return self.kind.series(self.version) < self.kind.series(self.saved)

    def _lacking(self) -> str:
        if self.kind.series(self.version) == self.kind.series(self.saved):
            return ""
        newer = " or newer" if self._is_older() else ""
        return f": no programs of {self.kind.series_text(self.saved)}{newer} {self.searched}"


def saved_version(manifest: Manifest) -> str | None:
    """Return what the server that was saved said of its version; None where the manifest does not tell it."""
    found = manifest.consistency.get("server_version")
    return None if found is None else str(found)


def version_in(text: str) -> str | None:
    """Return the version's numbers in what a program or a server says of itself ("15.14 (Debian …)": "15.14").

    What MariaDB's and MySQL's programs say begins with their path, which may have numbers, too.
    """
    found = re.search(r"(?<![\w.])\d+(?:\.\d+)*", text.rpartition(" Ver ")[2])
    return None if found is None else found[0]


def nearest(found: Sequence[Programs], saved: str | None, kind: ServerKind) -> Programs | None:
    """Return the programs of `saved`'s series, else of the next newer there is, else the newest.

    Of several as good the first; None when there are none at all.
    """
    wanted = kind.series(saved)

    def distance(each: Programs) -> tuple[int, tuple[int, ...]]:
        own = kind.series(each.version)
        if own == wanted:
            return 0, ()
        if wanted and own > wanted:
            return 1, own
        return 2, tuple(-number for number in own)

    return min(found, key=distance, default=None)


def same_series(found: Sequence[Programs], saved: str | None, kind: ServerKind) -> Programs | None:
    """Return the first programs of `saved`'s series, the only ones that start on copied files."""
    wanted = kind.series(saved)
    return next((each for each in found if wanted and kind.series(each.version) == wanted), None)
