"""A PostgreSQL dump's table of contents, as pg_restore --list --verbose has it, and what of it is one table's: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.errors import NotInBackup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LINE: Final = re.compile(r"(\d+); \d+ \d+ (.+)")
_DEPENDS: Final = ";\tdepends on:"
_NAME: Final = re.compile(r'(?:("[^"]+"|[^."]+)\.)?("[^"]+"|[^"]+)')
# What belongs to a table and comes with it. A foreign key would need the table it points to; a view, other tables.
_WITH_ANY: Final = (
    "COMMENT", "CONSTRAINT", "DEFAULT", "INDEX", "SEQUENCE", "SEQUENCE OWNED BY", "SEQUENCE SET", "STATISTICS", "TABLE",
    "TABLE DATA",
)  # fmt: skip
_WITH_ALL: Final = ("INDEX ATTACH", "TABLE ATTACH")
_OTHERS: Final = ("FK CONSTRAINT", "MATERIALIZED VIEW", "POLICY", "PUBLICATION TABLE", "RULE", "TRIGGER", "VIEW")
_KINDS: Final = tuple(sorted((*_WITH_ANY, *_WITH_ALL, *_OTHERS), key=len, reverse=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of the list: its number, what it is, the rest of what it says, and the numbers it depends on."""

    number: int
    kind: str
    rest: str
    line: str
    depends: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one or more tables are: the lines to restore, in their order, and what of them is left out, in words."""

    lines: tuple[str, ...]
    left_out: tuple[str, ...]
    numbers: frozenset[int]


def read_contents(listed: str) -> list[Item]:
    """Return the items of a list; lines that are none are passed over."""
    found: list[Item] = []
    for line in listed.splitlines():
        if line.startswith(_DEPENDS) and found:
            last = found.pop()
            depends = tuple(int(word) for word in line[len(_DEPENDS) :].split())
            found.append(Item(number=last.number, kind=last.kind, rest=last.rest, line=last.line, depends=depends))
        elif match := _LINE.fullmatch(line):
            kind = next((each for each in _KINDS if match[2].startswith(f"{each} ")), match[2].partition(" ")[0])
            rest = match[2][len(kind) + 1 :]
            found.append(Item(number=int(match[1]), kind=kind, rest=rest, line=line, depends=()))
    return found


def split_name(text: str) -> tuple[str, str]:
    """Return schema and name of a table as people and PostgreSQL write it; without a schema it is public."""
    match = _NAME.fullmatch(text.strip())
    if match is None:
        raise NotInBackup(f"{text!r} is no table's name: expected SCHEMA.NAME")
    return (match[1] or "public").strip('"'), match[2].strip('"')


def find_table(items: Iterable[Item], schema: str, name: str) -> Item | None:
    """Return the item of a table; what follows its name is its owner, which mostly has no blanks."""
    found = [item for item in items if item.kind == "TABLE" and item.rest.startswith(f"{schema} {name} ")]
    return min(found, key=lambda item: len(item.rest), default=None)


def part_of(items: Sequence[Item], tables: Iterable[str]) -> Part:
    """Return what these tables are, with their rows, indexes, sequences and partitions. Raises NotInBackup."""
    chosen: set[int] = set()
    for text in tables:
        found = find_table(items, *split_name(text))
        if found is None:
            known = ", ".join(
                item.rest.rpartition(" ")[0].replace(" ", ".", 1) for item in items if item.kind == "TABLE"
            )
            raise NotInBackup(f"there is no table {text!r} in this dump; there are: {known or 'none'}")
        chosen.add(found.number)
    size = 0
    while size != len(chosen):
        size = len(chosen)
        chosen |= {item.number for item in items if _belongs(item, chosen)}
    left = [f"{item.kind.lower()} {item.rest}" for item in items
            if item.number not in chosen and chosen.intersection(item.depends)]  # fmt: skip
    lines = tuple(item.line for item in items if item.number in chosen)
    return Part(lines=lines, left_out=tuple(left), numbers=frozenset(chosen))


def _belongs(item: Item, chosen: set[int]) -> bool:
    if item.kind in _WITH_ANY:
        return bool(chosen.intersection(item.depends))
    return item.kind in _WITH_ALL and bool(item.depends) and chosen.issuperset(item.depends)
