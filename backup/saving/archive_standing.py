"""How an archive stands that lies at several targets: what is told of all of them, from how each stands. Pure.

How one stands is a table: `archived` (the newest file that is safe there), `written_at` (up to when all is),
`archived_at`, `failing_since` and `error`, with whatever else its archive notes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backup.errors import unnamed
from backup.when import local

Stands = Mapping[str, Mapping[str, Any]]


def stands_of(notes: Mapping[str, Any] | None, targets: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return how each of a set's targets stands; of one that is new to it nothing is known.

    Notes of before targets stood alone are of all of them.
    """
    notes = notes or {}
    known = notes["targets"] if isinstance(notes.get("targets"), dict) else dict.fromkeys(targets, notes)
    return {name: dict(known.get(name) or {}) for name in targets}


def told(targets: Stands) -> dict[str, Any]:
    """Return what holds at every target, and how each stands as `targets`.

    A file counts as archived when every target has it: the one that is least far speaks for all.
    """
    least = least_far(targets)
    archived_ats = [each["archived_at"] for each in targets.values() if each.get("archived_at")]
    sinces = [each["failing_since"] for each in targets.values() if each.get("failing_since")]
    return {
        "archived": least.get("archived"),
        "written_at": least.get("written_at"),
        "archived_at": min(archived_ats) if len(archived_ats) == len(targets) else None,
        "failing_since": min(sinces, default=None),
        "error": _why(targets),
        "targets": dict(targets),
    }


def least_far(targets: Stands) -> Mapping[str, Any]:
    """Return how the target stands that has the least."""
    return min(targets.values(), key=lambda each: str(each.get("written_at") or ""))


def failed(stands: Mapping[str, Any], error: str, now: datetime) -> dict[str, Any]:
    """Return how a target stands that could not be given what it lacks; since when is since the first time."""
    return {**stands, "failing_since": stands.get("failing_since") or now.isoformat(), "error": error}


def together(texts: Mapping[str, str | None]) -> str | None:
    """Return what is said of each target in one sentence: once where it is the same of all, else with its name."""
    said = {name: text for name, text in texts.items() if text}
    if not said:
        return None
    if len(said) == len(texts) and len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"at {name!r}: {unnamed(name, text)}" for name, text in said.items())


def _why(targets: Stands) -> str | None:
    """Return why not every target has everything, and how far each is."""
    words = together({name: each.get("error") for name, each in targets.items()})
    if words is None or len(targets) == 1:
        return words
    reach = [f"{_until(each)} at {name!r}" for name, each in targets.items()]
    return f"{words} (archived up to {', '.join(reach)})"


def _until(stands: Mapping[str, Any]) -> str:
    return local(datetime.fromisoformat(stands["written_at"])) if stands.get("written_at") else "nothing yet"
