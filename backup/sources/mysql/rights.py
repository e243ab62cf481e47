"""Which rights an account of a MySQL or MariaDB lacks for a dump, by its own SHOW GRANTS (roles that are on included).

Looked at before each run: what an account may not see (triggers, routines, tables), a dump leaves out silently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GRANT: Final = re.compile(r"(GRANT|REVOKE) (.+?) ON (\*|`(?:[^`]|``)*`)\.\* (?:TO|FROM) ")
_ALL: Final = "ALL PRIVILEGES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Any of `names` is enough; the first is what to grant. is_global: on *.*, not on the database alone."""

    names: tuple[str, ...]
    is_global: bool


OWN_RIGHTS: Final = tuple(Right(names=(name,), is_global=False) for name in ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT"))


def needed_rights(*, has_position: bool) -> list[Right]:
    """Return what a dump of MySQL needs. has_position: its place in the binary log as well."""
    routines = Right(names=("SHOW_ROUTINE", "SELECT"), is_global=True)
    if not has_position:
        return [*OWN_RIGHTS, routines]
    lock = Right(names=("FLUSH_TABLES", "RELOAD"), is_global=True)
    return [*OWN_RIGHTS, routines, lock, Right(names=("REPLICATION CLIENT", "SUPER"), is_global=True)]


def missing_rights(grants: Iterable[str], database: str, needed: Sequence[Right]) -> list[str]:
    """Return the statements that would give what is missing, without their TO. grants: the lines of SHOW GRANTS."""
    own: set[str] = set()
    everywhere: set[str] = set()
    for line in grants:
        found = _GRANT.match(line)
        if found is None:
            continue
        names = {name.strip() for name in found[2].split(",")}
        if found[1] == "REVOKE":
            own -= names if _fits(found[3], database) else set()
        elif found[3] == "*":
            everywhere |= names
            own |= names
        elif _fits(found[3], database):
            own |= names
    lacking = [each for each in needed if not {*each.names, _ALL} & (everywhere if each.is_global else own)]
    quoted = "`" + database.replace("`", "``") + "`"
    statements = []
    for scope, is_global in ((f"{quoted}.*", False), ("*.*", True)):
        wanted = [each.names[0] for each in lacking if each.is_global is is_global]
        if wanted:
            statements.append(f"GRANT {', '.join(wanted)} ON {scope}")
    return statements


def _fits(scope: str, database: str) -> bool:
    r"""Tell whether a quoted scope is of this database: it is a pattern, with _, %, \_ and \%."""
    if scope == "*":
        return True
    pattern = scope[1:-1].replace("``", "`")
    parts = re.split(r"(\\[_%]|[_%])", pattern)
    wild = {"_": ".", "%": ".*", r"\_": "_", r"\%": "%"}
    return re.fullmatch("".join(wild.get(part, re.escape(part)) for part in parts), database, re.DOTALL) is not None
