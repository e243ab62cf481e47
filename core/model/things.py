"""Things of a host that hold data: databases, file systems, virtual machines; how they are named everywhere.

`database:billing`, `filesystem:/srv`, `domain:web1`: in waivers, in what a backup set says it saves, on the page.
"""

from __future__ import annotations

from typing import Final

THING_KINDS: Final = ("database", "filesystem", "domain")
LONGEST_NAME: Final = 200
MOST_NAMES: Final = 500
"""Of one list that a host says; how many more there are it says beside."""
MOST_CONTAINED: Final = 100
"""Of servers in containers."""


def split_thing(text: str) -> tuple[str, str]:
    """Return kind and name of `KIND:NAME`. Raises ValueError saying what was expected."""
    kind, _, name = text.partition(":")
    if kind not in THING_KINDS or not name or not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError("expected database:NAME, filesystem:/PATH or domain:NAME")
    if kind == "filesystem" and not name.startswith(("/", "*")):
        raise ValueError("expected the mount point of a file system, from / on: filesystem:/srv")
    return kind, name


def readable(name: str) -> str:
    """Return a name as it is said: what cannot be printed, and bytes that are no UTF-8, as escapes."""
    if name.isprintable():
        return name
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in name)


def listed(names: list[str]) -> tuple[list[str], int]:
    """Return the names that can be said, in their order, each once, and how many more there are."""
    found = sorted({readable(name) for name in names})
    said = [name for name in found if len(name) <= LONGEST_NAME][:MOST_NAMES]
    return said, len(found) - len(said)
