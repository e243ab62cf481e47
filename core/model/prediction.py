"""What the next disaster would cost: how long restoring takes, and how much work is lost. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LAST_PROOFS: Final = 3


def restore_seconds(proofs: Sequence[tuple[int, float]], size_bytes: int) -> float | None:
    """Return how long restoring `size_bytes` will take, by what drills took; None when none proved anything.

    proofs: of each proven drill, oldest first, the bytes of its restore point and the seconds until it was usable. The
    slowest of the last three counts, made longer as the set has grown since; what has shrunk promises nothing sooner.
    """
    newest = proofs[-_LAST_PROOFS:]
    return max((seconds * max(1.0, size_bytes / max(1, size)) for size, seconds in newest), default=None)


def lost_seconds(
    *, age: float | None, period: float | None, duration: float, archived: float | None = None
) -> float | None:
    """Return how much work a disaster costs at worst, as things stand: None when nothing is saved and none is due.

    All in seconds. age: of the data of the last good backup. period: of its schedule. duration: of its last good run,
    since a disaster just before the end of the next run loses that run too. archived: of a cluster whose WAL is
    archived beside its base backups, how long ago the last that is safe was written; only what came after it is lost.
    """
    if age is None:
        return None
    worst = max(age, (period or 0.0) + duration)
    return worst if archived is None else min(worst, archived)


def archived_to(state: Mapping[str, Any]) -> str | None:
    """Return up to when all of a server is safe in an archive of a set, by its state (ISO 8601); None without one.

    Of several targets the one that is furthest counts, and none whose newest restore point does not go on into it.
    """
    for kind in ("wal", "binlog"):
        archive = state.get(kind) or {}
        stands = (archive.get("targets") or {"": archive}).values()
        if found := [str(each["written_at"]) for each in stands if each.get("written_at") and not each.get("gap")]:
            return max(found)
    return None
