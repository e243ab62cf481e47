"""What accounts and tokens may do and see: roles in their order, groups of hosts; pure."""

from __future__ import annotations

from typing import Final

ROLES: Final = ("viewer", "operator", "administrator")
"""Least first. A viewer looks, an operator also handles problems and backups, an administrator defines everything."""

Groups = frozenset[str] | None
"""Host groups somebody is restricted to; None: every host."""


def lesser_role(one: str, other: str) -> str:
    """Return the role of the two that may do less; one that this version does not know may do least."""
    return min(one, other, key=lambda role: ROLES.index(role) if role in ROLES else -1)


def common_groups(one: Groups, other: Groups) -> Groups:
    """Return the restriction that holds when both do; it may be empty, and then nothing is seen."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def is_within(groups: Groups, limit: Groups) -> bool:
    """Tell whether whoever is restricted to `groups` sees no more than one restricted to `limit`."""
    return limit is None or (groups is not None and groups <= limit)
