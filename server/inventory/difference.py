"""Lists where two definitions differ, place by place; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.inventory.fault import join_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_LABELS = ("name", "probe", "item")


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where two definitions differ; a side that lacks it holds ABSENT."""

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any) -> list[Difference]:
    """List the places where `after` differs from `before`.

    Entries of lists are matched by their name, probe or item where all of them have a different one, so that a
    trigger put in the middle does not change all that follow.
    """
    return [Difference(path=join_path(path), before=old, after=new) for path, old, new in _compare(before, after, ())]


def _compare(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    if before == after and type(before) is type(after):
        return
    if isinstance(before, list) and isinstance(after, list):
        old, new = _by_label(before), _by_label(after)
        if old is not None and new is not None:
            steps = dict.fromkeys([*old, *new])
            found = [
                d
                for step in steps
                for d in _compare(old.get(step, ABSENT), new.get(step, ABSENT), (*path, f"{step!r}"))
            ]
            if found:
                yield from found
                return
        yield path, before, after
    elif isinstance(before, dict) and isinstance(after, dict):
        for step in dict.fromkeys([*before, *after]):
            yield from _compare(before.get(step, ABSENT), after.get(step, ABSENT), (*path, step))
    else:
        yield path, before, after


def _by_label(entries: list[Any]) -> dict[str, Any] | None:
    """Return the entries by their label, None when they have none or not all a different one."""
    found: dict[str, Any] = {}
    for entry in entries:
        label = next((entry[key] for key in _LABELS if key in entry), None) if isinstance(entry, dict) else None
        if not isinstance(label, str) or label in found:
            return None
        found[label] = entry
    return found
