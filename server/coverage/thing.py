"""Things of a host that hold data, and whether what a backup set says it saves has them in it; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

ThingKind = Literal["database", "filesystem", "domain"]

FURTHER: Final = "(further ones)"
"""The name of those that a host has beyond what it can say: only a set of the whole has them in it."""
IN_CONTAINER: Final = -1
"""The port of a server in a container, which is another one inside than outside: only by its name it is covered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A database, a file system or a domain of a host. A database lies at a server: its engine and its port."""

    kind: ThingKind
    name: str
    engine: str = ""
    port: int = 0
    is_one_of_several: bool = False

    @property
    def title(self) -> str:
        """How it is called: `database billing`, with its port where the host has another of that name."""
        return f"{self.kind} {self.name}" + (f" at port {self.port}" if self.is_one_of_several else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Covers:
    """What a set's last good backup saved, as its host says (backup/sources/covering.py has the form).

    is_whole: all databases of the server but those left out; of domains, all of their disks. filesystems: where those
    are mounted that were saved whole. keeps: the folders the backups lie in. also: kinds and names that the set's
    settings add.
    """

    engine: str = ""
    port: int = 0
    databases: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    filesystems: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    has_images: bool = False
    is_whole: bool = False
    also: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    keeps: tuple[str, ...] = ()

    def has(self, thing: Thing, *, is_of_this_host: bool) -> bool:
        """Whether the thing is in it.

        A set of another host that this one names (`backup.by`) may hold this machine whole: as a domain, as images.
        Its paths and domains are the other host's own.
        """
        if (thing.kind, thing.name) in self.also:
            return True
        if not is_of_this_host and (self.has_images or (self.domains and self.is_whole)):
            return True
        if thing.kind == "database":
            return (self.engine, self.port) == (thing.engine, thing.port) and (
                thing.name in self.databases or (self.is_whole and thing.name not in self.left_out)
            )
        if not is_of_this_host or thing.name == FURTHER:
            return False
        return thing.name in (self.domains if thing.kind == "domain" else self.filesystems)


def is_at_or_below(path: str, folder: str) -> bool:
    """Whether a path is a folder, or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
