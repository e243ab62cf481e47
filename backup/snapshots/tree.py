"""The tree of a set of paths, from snapshots as the set wants it: where they can be had, or all or nothing."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from backup.errors import EngineFailed, SourceFailed
from backup.snapshots.contract import Tree
from backup.snapshots.record import reasons
from backup.snapshots.view import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.snapshots.contract import Wanted


@contextmanager
def tree_of(wanted: Wanted, scratch: Path, *, is_required: bool) -> Iterator[Tree]:
    """Show a tree; what of it comes from no snapshot is named in `live`, and fails what `is_required`.

    Raises SourceFailed, TimedOut; also at the end, when a snapshot was lost while it was read.
    """
    with ExitStack() as stack:
        try:
            tree = stack.enter_context(shown(wanted, scratch))
        except SourceFailed as error:
            if is_required:
                raise
            tree = Tree(live=dict.fromkeys(wanted.roots, str(error)))
        if tree.live and is_required:
            raise SourceFailed(
                f"{reasons(tree.live)}: snapshots are required for this set; leave out what has none by `exclude` or"
                ' `one_file_system`, or set `snapshot = "auto"`'
            )
        if not tree.taken:
            stack.close()
            tree = Tree(live=tree.live, remarks=tree.remarks)
        try:
            yield tree
        except (EngineFailed, SourceFailed):
            tree.demand_whole()  # which tells more
            raise
        tree.demand_whole()
