"""What a manifest says of snapshots, and how people are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from backup.snapshots.contract import Taken

_MOST_NAMED: Final = 5


def snapshot_table(taken: Iterable[Taken], live: Mapping[Path, str]) -> dict[str, Any]:
    """Return it for the consistency record: `snapshots`, and what is `not_from_snapshot`, with the reason."""
    return {
        "snapshots": [
            {"of": str(each.path), "kind": each.kind, "taken_at": each.taken_at.isoformat()} for each in taken
        ],
        "not_from_snapshot": [{"of": str(path), "why": why} for path, why in live.items()],
    }


def moments(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return in words as of when is what a consistency record tells of; nothing where nobody asked for snapshots.

    A record nobody here can have written says nothing, either.
    """
    try:
        return tuple(_words(record))
    except (KeyError, TypeError, AttributeError):
        return ()


def _words(record: Mapping[str, Any]) -> Iterator[str]:
    taken, live = record.get("snapshots", ()), record.get("not_from_snapshot", ())
    if taken:
        kinds = " and ".join(dict.fromkeys(str(each["kind"]) for each in taken))
        at = [_seconds(str(each["taken_at"])) for each in taken]
        when = at[0] if at[0] == at[-1] else f"{at[0]} to {at[-1]}"
        yield f"from {kinds} snapshots of {when}: {_named(str(each['of']) for each in taken)}"
    if live:
        yield reasons({each["of"]: each["why"] for each in live})


def reasons(live: Mapping[Any, str]) -> str:
    """Return in words what comes from no snapshot, and why."""
    return f"not from a snapshot: {_named(f'{path} ({why})' for path, why in live.items())}"


def _seconds(instant: str) -> str:
    return f"{instant[:19]}Z"


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _MOST_NAMED
    return ", ".join(listed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
