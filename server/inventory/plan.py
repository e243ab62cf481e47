"""Compares what is defined with what is wanted; pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from server.inventory.model import Key, Kind

Action = Literal["create", "update", "delete"]
Via = Literal["file", "web", "shipped", "enrolment"]
"""By which way a definition was last changed: `apply`, page or REST API, delivered with Watchkeep, a new agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDefinition:
    """A definition as the database holds it. `revision` numbers the change that made it so."""

    kind: Kind
    name: str
    body: dict[str, Any]
    revision: int
    via: Via
    changed_by: str
    changed_at: datetime

    @property
    def key(self) -> Key:
        """Identity of the definition."""
        return (self.kind, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step from what is stored to what is wanted; `before` is None for a creation, `after` for a deletion.

    `overwrites` says who changed the definition by another way than files, when files would now undo that.
    """

    action: Action
    kind: Kind
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    overwrites: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the form in which the API and `--json` show it."""
        return asdict(self)


def plan(
    stored: Mapping[Key, StoredDefinition],
    wanted: Mapping[Key, dict[str, Any]],
    *,
    via: Via,
    prunable: Collection[Key] = (),
) -> list[Change]:
    """List the changes that make the stored definitions say what `wanted` (bodies by key) says.

    What is stored and not wanted stays, but for what is `prunable` and was not changed by another way than files
    since. Order: what others refer to first, deletions last and the other way round.
    """
    changes = [_change(stored.get(key), key, wanted[key], via) for key in sorted(wanted, key=_rank)]
    found = [change for change in changes if change is not None]
    gone = [key for key in stored if key not in wanted and key in prunable and stored[key].via == "file"]
    return found + [deletion(stored[key]) for key in sorted(gone, key=_rank, reverse=True)]


def deletion(stored: StoredDefinition) -> Change:
    """Return the change that removes a definition."""
    return Change(action="delete", kind=stored.kind, name=stored.name, before=stored.body, after=None)


def resulting(stored: Mapping[Key, StoredDefinition], changes: list[Change]) -> dict[Key, dict[str, Any]]:
    """Return the bodies, by key, as they will be once the changes are made."""
    bodies = {key: definition.body for key, definition in stored.items()}
    for change in changes:
        if change.after is None:
            bodies.pop((change.kind, change.name), None)
        else:
            bodies[change.kind, change.name] = change.after
    return bodies


def _change(found: StoredDefinition | None, key: Key, body: dict[str, Any], via: Via) -> Change | None:
    kind, name = key
    if found is None:
        return Change(action="create", kind=kind, name=name, before=None, after=body)
    if found.body == body:
        return None
    # A page's edit and a file's text must not undo each other silently. Shipped and enrolled ones are ours to change.
    overwrites = ""
    if via == "file" and found.via == "web":
        overwrites = f"{found.changed_by} on {found.changed_at:%Y-%m-%d %H:%M} UTC"
    return Change(action="update", kind=kind, name=name, before=found.body, after=body, overwrites=overwrites)


_RANKS = {"template": 0, "receiver": 1, "host": 2, "escalation": 3, "waiver": 4, "limit": 4}


def _rank(key: Key) -> tuple[int, str]:
    return (_RANKS[key[0]], key[1])
