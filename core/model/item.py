"""How an item is described by whoever samples it, before it has a number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDescription:
    """One thing measured: `key` is `name` or `name[parameter]`, `type` is "number", "text" or
    "structured".

    `host` is empty for the source's own host. (host, key) identifies the item; the rest describes it.
    """

    key: str
    type: str = "number"
    unit: str = ""
    description: str = ""
    host: str = ""
