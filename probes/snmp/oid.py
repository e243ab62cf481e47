"""Object identifiers, and which columns a table has. Pure."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Oid: TypeAlias = tuple[int, ...]
Value: TypeAlias = float | str | None

_FORM: Final = re.compile(r"\.?[012](?:\.(?:0|[1-9][0-9]{0,9})){1,127}")


def parse_oid(text: str) -> Oid:
    """Return "1.3.6.1.2.1.1.3.0" as numbers. The text has passed `check_oid`."""
    return tuple(int(part) for part in text.strip(".").split("."))


def check_oid(text: str) -> str | None:
    """Return what is wrong with a written object identifier, None when it is one."""
    if _FORM.fullmatch(text) and all(part < 1 << 32 for part in parse_oid(text)):
        return None
    return f"expected an object identifier in numbers like 1.3.6.1.2.1.1.3.0, found {text[:60]!r}"


def is_below(oid: Oid, root: Oid) -> bool:
    """Tell whether `oid` lies in the tree under `root`."""
    return len(oid) > len(root) and oid[: len(root)] == root
