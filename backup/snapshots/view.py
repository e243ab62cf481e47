"""A tree of files as of one instant: snapshots where they can be had, in a private namespace, at a folder of ours.

What duplicity reads there has the paths, folders and mounts that the host has, so nothing that is saved tells the
difference, and a restore needs to know nothing of it. The host's own folders stay as they are: our caches, the target
and this program may lie among what is saved.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed, TimedOut
from backup.runtime.mounts import bind, unmount, visible_mounts
from backup.runtime.namespace import MountNamespace
from backup.snapshots.contract import Ground, Taken, Tree
from backup.snapshots.plan import place_of, saved_places
from backup.snapshots.registry import kind_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.runtime.mounts import Mount
    from backup.snapshots.contract import Frozen, SnapshotKind, Wanted

_ITSELF: Final = Path()
_TOP: Final = Path("/")
_MOST: Final = 1000  # a snapshot takes some hundredths of a second, and all of them are there at once


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a mount (`inner` is itself) or something in it that has snapshots of its own is seen on the host."""

    mount: Mount
    inner: Path = _ITSELF

    @property
    def path(self) -> Path:
        return self.mount.place / self.inner


@contextmanager
def shown(wanted: Wanted, scratch: Path) -> Iterator[Tree]:
    """Show a tree below an empty private folder. What has no snapshot is shown as it is, with the reason.

    Leaving the context removes the snapshots. Raises SourceFailed, TimedOut.
    """
    scratch = scratch.resolve()  # so that whatever is no real path below it leads out through a link
    folder = scratch / "view"
    with MountNamespace() as namespace, ExitStack() as stack:
        tree = Tree(namespace=namespace, folder=folder)
        try:
            folder.mkdir(mode=0o700)
            _Builder(tree, namespace, wanted, scratch, stack).build()
            descriptor = namespace.within(lambda: os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as error:
            raise SourceFailed(f"what is to be saved cannot be shown below {folder}: {error}") from error
        stack.callback(os.close, descriptor)
        tree.through = b"/proc/self/fd/%d" % descriptor
        for root in wanted.roots:
            if not os.path.lexists(tree.through + os.fsencode(root)):
                raise SourceFailed(f"{root} went while snapshots were made: correct the set's paths, or try again")
        yield tree


class _Builder:
    def __init__(self, tree: Tree, namespace: MountNamespace, wanted: Wanted, scratch: Path, stack: ExitStack) -> None:
        self._tree, self._namespace, self._wanted, self._scratch, self._stack = tree, namespace, wanted, scratch, stack
        self._opened: dict[int, Frozen | str] = {}

    def build(self) -> None:
        """Bring everything that is saved to its place in the view, from the top to the deepest."""
        mounts = self._mounts()
        tops = {mount.place: _Place(mount=mount) for mount in mounts}
        places = dict(tops)
        for path in self._saved(tops):
            mount = tops[path].mount
            for inner in self._inner(mount):
                if place_of(mount.place / inner, tops) == mount.place:  # else something is mounted over it
                    places[mount.place / inner] = _Place(mount=mount, inner=inner)
        saved = self._saved(places)
        if len(saved) > _MOST:
            raise SourceFailed(
                f"{len(saved)} snapshots would be needed, more than {_MOST}: exclude what comes and goes"
            )
        self._namespace.within(lambda: bind(_TOP, self._tree.folder))
        self._stack.callback(self._take_away)
        for path in sorted(places, key=lambda path: len(path.parts)):
            self._show(places[path], saved)

    def _mounts(self) -> list[Mount]:
        """Return the mounts that something of a root lies in, or that lie below one."""
        roots = self._wanted.roots
        return [
            mount
            for mount in self._namespace.within(visible_mounts)
            if any(root.is_relative_to(mount.place) or mount.place.is_relative_to(root) for root in roots)
        ]

    def _saved(self, places: dict[Path, _Place]) -> dict[Path, list[Path]]:
        return saved_places(
            places,
            self._wanted.roots,
            one_file_system=self._wanted.one_file_system,
            is_left_out=self._wanted.is_left_out,
        )

    def _open(self, mount: Mount) -> Frozen | str:
        """Return what makes snapshots of a mount, or why there are none."""
        kind = kind_for(mount)
        if kind is None:
            return f"{mount.kind} has no snapshots"
        if mount.device not in self._opened:
            self._opened[mount.device] = kind.lack(mount) or self._make_ready(kind, mount)
        return self._opened[mount.device]

    def _make_ready(self, kind: SnapshotKind, mount: Mount) -> Frozen | str:
        folder = self._scratch / f"top-{len(self._opened)}"
        folder.mkdir(mode=0o700)
        try:
            ground = Ground(namespace=self._namespace, folder=folder, beside=self._tree.frozen)
            opened = self._stack.enter_context(kind.open(mount, ground))
        except (SourceFailed, TimedOut) as error:
            return str(error)
        self._tree.frozen.append(opened)
        self._tree.remarks += opened.remarks
        if opened.stand_in is not None:
            self._tree.stand_ins.add(opened.stand_in)
        return opened

    def _inner(self, mount: Mount) -> list[Path]:
        frozen = self._open(mount)
        if isinstance(frozen, str):
            return []
        try:
            return frozen.inner(mount)
        except (SourceFailed, TimedOut) as error:
            self._opened[mount.device] = str(error)
            return []

    def _show(self, place: _Place, saved: dict[Path, list[Path]]) -> None:
        at = self._tree.folder / place.path.relative_to(_TOP)
        if place.inner != _ITSELF and not self._namespace.within(lambda: at.exists() and at.resolve() == at):
            return  # it came after the snapshot of what holds it
        known = saved.get(place.path, [])
        folder = self._freeze(place, known) if known else None
        if folder is None:
            folder = self._live(place, saved)
        if folder is not None:
            try:
                self._namespace.within(lambda: bind(folder, at))
            except OSError as error:
                self._tree.taken = [each for each in self._tree.taken if each.path not in known]
                self._tree.live |= dict.fromkeys(known, f"it cannot be shown beside snapshots: {error.strerror}")

    def _freeze(self, place: _Place, known: list[Path]) -> Path | None:
        """Return where a snapshot of a place lies; None when there is none. Either is put on record."""
        kind, frozen = kind_for(place.mount), self._open(place.mount)
        why = frozen if isinstance(frozen, str) else ""
        if kind is not None and not isinstance(frozen, str):
            try:
                folder, at = frozen.freeze(place.mount, place.inner)
            except (SourceFailed, TimedOut) as error:
                why = str(error)
            else:
                self._tree.taken += [Taken(path=path, kind=kind.name, taken_at=at) for path in known]
                return folder
        self._tree.live |= dict.fromkeys(known, why)
        return None

    def _live(self, place: _Place, saved: dict[Path, list[Path]]) -> Path | None:
        """Return where a place lies as it is; None when nothing of it, nor on the way below it, is saved."""
        if place.inner == _ITSELF:
            return place.path
        frozen = self._open(place.mount)
        if isinstance(frozen, str) or not any(path.is_relative_to(place.path) for path in saved):
            return None
        return frozen.live(place.mount, place.inner)

    def _take_away(self) -> None:
        with suppress(OSError):  # it goes with the namespace
            self._namespace.within(lambda: unmount(self._tree.folder))
