"""ZFS datasets and their snapshots as the program `zfs` tells of them: names, whose they are, room."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.snapshots.run_lock import PREFIX
from backup.snapshots.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

ZFS: Final = Tool("zfs", "zfsutils-linux")
# A user property is inherited, and goes with a copy at another place: ours are only those on which it was set itself.
_OWNER: Final = "watchkeep:host"
# All that zfs-destroy(8) gives a meaning of its own is missing: lists, ranges, bookmarks, a dataset as a whole.
_OURS: Final = re.compile(rf"[A-Za-z0-9][\w.: -]*(?:/[\w.: -]+)*@{PREFIX}\d{{8}}T\d{{6}}Z-[0-9a-f]{{8}}", re.ASCII)
_FULL_PERCENT: Final = 95.0


def ask(*arguments: str, doing: str) -> list[list[str]]:
    """Return the lines of an answer of `zfs`, in their columns. Raises SourceFailed, TimedOut."""
    return read_table(command(arguments[0], "-H", "-p", *arguments[1:], doing=doing))


def command(*arguments: str, doing: str) -> str:
    """Return what `zfs` answers. Raises SourceFailed, TimedOut."""
    try:
        return ZFS.run(*arguments, doing=doing)
    except SourceFailed as error:
        if "permission denied" in str(error).lower():
            raise SourceFailed(
                f"{error}: root of a container has only the rights it was given (zfs allow); save the set on its host"
            ) from error
        raise


def read_table(text: str) -> list[list[str]]:
    """Read what `zfs … -H` says: a name may have spaces, and lines end with nothing else than their end."""
    return [line.split("\t") for line in text.split("\n") if line]


def pool_of(dataset: str) -> str:
    """Return the name of the pool a dataset lies in."""
    return dataset.partition("/")[0]


def lack_of_room(table: Sequence[Sequence[str]]) -> str | None:
    """Return why no snapshot should be made in a pool, from its name, bytes used and bytes available; and what to do.

    Raises SourceFailed when that is no answer.
    """
    try:
        ((pool, used, available),) = table
        percent = 100.0 * int(used) / max(int(used) + int(available), 1)
    except ValueError as error:
        raise SourceFailed(f"what ZFS says of the room of a pool cannot be read: {table}") from error
    if percent < _FULL_PERCENT:
        return None
    return (
        f"its pool {pool} is {percent:.0f} % full, and beside a snapshot what is overwritten gives no room back: remove"
        " what nobody needs, snapshots too (zfs destroy), or enlarge it (zpool add)"
    )


def mark() -> str:
    """Return what marks the snapshots of this machine: another may have the same pool another day."""
    return f"{_OWNER}={os.uname().nodename}"


def snapshots_in(dataset: str, doing: str, *, is_below_too: bool = False) -> list[str]:
    """Return the whole names of the snapshots of a dataset, or of all below it too. Raises SourceFailed, TimedOut."""
    depth = ("-r",) if is_below_too else ("-d", "1")
    # Names alone, by name, come quickly: of a hundred thousand as well.
    rows = ask("list", "-t", "snapshot", *depth, "-o", "name", "-s", "name", dataset, doing=doing)
    return [row[0] for row in rows]


def is_name_of_ours(snapshot: str) -> bool:
    """Whether a whole name, `dataset@snapshot`, is as we give them."""
    return _OURS.fullmatch(snapshot) is not None


def is_marked(table: Sequence[Sequence[str]]) -> bool:
    """Whether an answer about the mark of one snapshot says that this machine set it."""
    return list(map(list, table)) == [[os.uname().nodename]]


def destroy_left(snapshot: str) -> None:
    """Destroy a snapshot that is called as ours are, if this machine made it. Raises SourceFailed, TimedOut."""
    doing = f"looking whose {snapshot} is"
    if is_marked(ask("get", "-s", "local", "-o", "value", _OWNER, snapshot, doing=doing)):
        destroy(snapshot)


def destroy(snapshot: str) -> None:
    """Destroy one snapshot of ours. Raises SourceFailed, TimedOut; ValueError for anything else, and leaves it."""
    if not is_name_of_ours(snapshot):
        raise ValueError(f"{snapshot!r} is no snapshot of ours")
    command("destroy", snapshot, doing=f"destroying the snapshot {snapshot}")
