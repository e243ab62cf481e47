"""An item's key, `name` or `name[parameter]`, taken apart."""

from __future__ import annotations


def split_key(key: str) -> tuple[str, str | None]:
    """Return name and parameter; the parameter is None where the key has none."""
    name, bracket, rest = key.partition("[")
    if not bracket or not rest.endswith("]"):
        return key, None
    return name, rest[:-1]
