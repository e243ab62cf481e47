"""Files and folders as a source."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backup.cut import Cut, at_or_below, literal, read_cut
from backup.errors import SourceFailed
from backup.snapshots.contract import Tree, Wanted
from backup.snapshots.own_folder import NAME
from backup.snapshots.record import reasons, snapshot_table
from backup.sources.contract import Prepared
from backup.sources.covering import paths_covers
from backup.sources.files.own_places import own_below
from backup.sources.files.packing import Weights
from backup.sources.files.survey import ATTRIBUTES, LISTS, STAND_INS, Window, left_out_by, survey
from core.runtime.reading_right import reading_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from backup.settings.source import PathsSettings
    from backup.sources.files.own_places import OwnPlace
    from backup.sources.files.survey import Survey

_IN_A_WORD: Final = 100  # paths on a command line, of which a word has at most 128 KiB


class PathsSource:
    """Saves the roots of the settings with their whole paths, so that a restore point shows `etc/hosts`.

    Files that change while they are read are saved as they are at that moment; one that vanishes or cannot be read is
    named and counted by the engine, and the run goes on. What backups do not keep is named in the manifest; access
    lists and extended attributes, which change who may do what, are told at every run. Saved side by side, the tree is
    cut into parts at a full, and incrementals keep these.
    """

    kind = "paths"

    def __init__(self, settings: PathsSettings, *, side_by_side: int = 1, own: Sequence[OwnPlace] = ()) -> None:
        """`own`: places of ours that no backup is to have."""
        self._settings = settings
        self._own = own
        self._side_by_side = side_by_side

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:
        """Name the roots to duplicity. Raises SourceFailed when one is not there, or all of them hold nothing."""
        real = self._roots()
        weights = Weights(real) if self._side_by_side > 1 else None
        with self._tree(real, scratch) as tree:
            lost = self._look(real, tree, None if weights is None else weights.take)
            yield self._prepared(real, tree, lost, Cut() if weights is None else weights.cut(self._side_by_side))

    def doubt(self, before: Mapping[str, Any]) -> str | None:
        """Return why the parts the chain was begun with are not those to go on with. Raises SourceFailed."""
        cut = read_cut(before)
        if cut.asked != self._side_by_side:
            return f"side_by_side is {self._side_by_side} now, the chain before was begun with {cut.asked}"
        if cut.listed and before.get("roots") != [str(root) for root in self._roots()]:
            return "paths.roots are others, and the chain before is cut into parts by them"
        return None

    @contextmanager
    def prepare_after(self, scratch: Path, before: Mapping[str, Any]) -> Iterator[Prepared]:
        """Name the roots to duplicity, in the parts of the run before."""
        real = self._roots()
        with self._tree(real, scratch) as tree:
            yield self._prepared(real, tree, self._look(real, tree), read_cut(before), before)

    def _roots(self) -> list[Path]:
        with reading_all():
            return [_real(root) for root in self._settings.roots]

    @property
    def _patterns(self) -> tuple[str, ...]:
        return (*(_below(pattern) for pattern in self._settings.exclude), f"**/{NAME}")

    @contextmanager
    def _tree(self, real: list[Path], scratch: Path) -> Iterator[Tree]:
        """Show the roots as the set's `snapshot` has it."""
        if self._settings.snapshot == "none":
            yield Tree()
            return
        left_out, own = left_out_by(self._patterns), [each.path for each in own_below(real, self._own)]
        wanted = Wanted(
            roots=real,
            one_file_system=self._settings.one_file_system,
            is_left_out=lambda path, root: any(
                each in own or left_out.fullmatch(os.fsencode(each))
                for each in (path, *path.parents)
                if each.is_relative_to(root)
            ),
        )
        from backup.snapshots.tree import tree_of  # noqa: PLC0415 - all of that room, which most sets do without

        with tree_of(wanted, scratch, is_required=self._settings.snapshot == "required") as tree:
            yield tree

    def _look(
        self, real: list[Path], tree: Tree, on_entry: Callable[[bytes, os.stat_result], None] | None = None
    ) -> Survey:
        self._demand_not_excluded(real)
        own = frozenset(os.fsencode(each.path) for each in own_below(real, self._own))
        window = Window(through=tree.through, stand_ins=frozenset(tree.stand_ins), left_out=own)
        one_file_system = self._settings.one_file_system
        with reading_all():
            found = survey(real, self._patterns, one_file_system=one_file_system, on_entry=on_entry, window=window)
        for folder in map(os.fsdecode, found.elsewhere):
            if lost := [root for root in real if root.is_relative_to(folder)]:
                raise SourceFailed(
                    f"{lost[0]} cannot be saved: one_file_system leaves {folder} out, as it is another file system than"
                    " the root above it; name that folder among the paths, and in `exclude` what is unwanted there"
                )
        if not found.filled:  # an empty backup is never "ok"
            raise SourceFailed(
                f"there is nothing to save in {', '.join(map(str, real))}: is a disk not mounted, or all of it excluded"
                " or shut to this user? Correct that, or the set's paths"
            )
        if found.counts[STAND_INS] and self._settings.snapshot == "required":
            raise SourceFailed(f"{found.words([STAND_INS])[0]}: try again, or exclude what comes and goes")
        return found

    def _demand_not_excluded(self, real: list[Path]) -> None:
        """Return when no pattern leaves a whole root out: what is excluded counts before it. Raises SourceFailed."""
        for pattern in self._patterns:
            left_out = left_out_by([pattern.rstrip("/")])
            for root in real:
                if found := [each for each in (root, *root.parents) if left_out.fullmatch(os.fsencode(each))]:
                    raise SourceFailed(
                        f"{root} cannot be saved: the pattern {pattern!r} of paths.exclude leaves {found[0]} out with"
                        " all in it; make it narrower, such as by a whole path"
                    )

    def _prepared(
        self, real: list[Path], tree: Tree, lost: Survey, cut: Cut, before: Mapping[str, Any] | None = None
    ) -> Prepared:
        """`before`: the record of the run that this one goes on from."""
        roots = [str(root) for root in real]
        empty = [str(root) for root in real if os.fsencode(root) not in lost.filled]
        known = empty if before is None else [root for root in empty if root in before.get("empty", empty)]
        emptied = [f"{root} is an empty folder and was none before: is a disk not mounted?" for root in empty
                   if root not in known]  # fmt: skip
        own = [str(each.path) for each in own_below(real, self._own)]
        record = {} if self._settings.snapshot == "none" else snapshot_table(tree.taken, tree.live)
        live = (reasons(tree.live),) if tree.live else ()
        return Prepared(
            root=tree.folder,
            namespace=tree.namespace,
            reads_all=True,
            selections=selections(tree.folder, roots, cut, self._patterns, [*map(os.fsdecode, lost.elsewhere), *own]),
            counted_again=cut.counted_again(roots),
            consistency={
                "roots": roots,
                "empty": known,
                "left_out": own,
                "not_kept": list(lost.words()),
                **record,
                **cut.table(),
            },
            covers=paths_covers(real, left_out_by(self._patterns), [*lost.elsewhere, *map(os.fsencode, own)]),
            remarks=(*lost.words((ATTRIBUTES, LISTS, STAND_INS)), *emptied, *live, *tree.remarks),
        )


def _real(root: Path) -> Path:
    """Return a root without symbolic links: duplicity follows none, and would save nothing of what lies behind one."""
    try:
        return root.resolve(strict=True)
    except PermissionError as error:
        remedy = "let this user read it, or all files by CAP_DAC_READ_SEARCH (docs/backup-files.md)"
        raise SourceFailed(f"{root} cannot be saved: {error}; {remedy}") from error
    except (OSError, RuntimeError) as error:
        raise SourceFailed(f"{root} cannot be saved: {error}; correct the set's paths") from error


def selections(
    folder: Path, roots: Sequence[str], cut: Cut, patterns: Sequence[str] = (), elsewhere: Sequence[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """Return duplicity's selection of each part: what to leave out, then what is in it, then nothing else.

    The first that fits counts. folder: what duplicity reads, with the roots below it. elsewhere: what is left out with
    all in it, as folders of other file systems are: duplicity's own option for these takes all for such that is not on
    the file system of `/`.
    """
    above = "" if folder == Path("/") else str(folder)
    others = [f"{above}{path}" for path in elsewhere]
    options = [
        f"--exclude-regexp={at_or_below(others[first : first + _IN_A_WORD])}"
        for first in range(0, len(others), _IN_A_WORD)
    ]
    options += [f"--exclude={literal(above) if above else ''}{pattern}" for pattern in patterns]
    parts = cut.seen_below(above).selections([f"{above}{root}" for root in roots])
    return tuple((*options, *each, "--exclude=**") for each in parts)


def _below(pattern: str) -> str:
    return pattern if pattern.startswith(("/", "**")) else f"**/{pattern}"
