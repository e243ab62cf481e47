"""What changes of definitions bring about beyond themselves, in words, for whoever is about to make them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.inventory.model import Key


def tell_consequences(before: Mapping[Key, dict[str, Any]], after: Mapping[Key, dict[str, Any]]) -> list[str]:
    """Say which receivers that are there before and after stop, or begin, to be told of every problem.

    A receiver that an escalation names is told by escalations only.
    """
    old, new = _named(before), _named(after)
    stays = [name for kind, name in sorted(before) if kind == "receiver" and (kind, name) in after]
    lost = [
        f"receiver {name} will be told by {_list(new[name])} only: of all other problems it hears no more"
        for name in stays
        if name in new and name not in old
    ]
    won = [
        f"receiver {name} will be told at once of every problem of its severities: no escalation names it any more"
        for name in stays
        if name in old and name not in new
    ]
    return lost + won


def _named(bodies: Mapping[Key, dict[str, Any]]) -> dict[str, list[str]]:
    """Return the names of the escalations that name each receiver."""
    found: dict[str, list[str]] = {}
    for (kind, name), body in sorted(bodies.items(), key=lambda entry: entry[0]):
        if kind == "escalation":
            for receiver in {each for step in body.get("steps", ()) for each in step.get("tell", ())}:
                found.setdefault(receiver, []).append(name)
    return found


def _list(escalations: list[str]) -> str:
    return f"escalation{'' if len(escalations) == 1 else 's'} {', '.join(escalations)}"
