"""What every source promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from backup.runtime.namespace import MountNamespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Data that is ready to be read, for as long as its context lasts.

    root: the folder duplicity reads. It is the same at every run, so that deltas are against the run before.
    namespace: the mounts in which `root` is what is to be read; None: ours.
    reads_all: whoever owns what is in it, it is read; where we have the right.
    selections: duplicity's include and exclude options, in order; of each part that is saved side by side with others.
    counted_again: how many folders lie in more than one part, each further time counted.
    consistency: what the source can say of the moment the data is of; plain JSON values.
    covers: which things of the machine the data are; backup/sources/covering.py has the form.
    remarks: what of the source is not saved, or not as of that moment; people are reminded of it.
    is_indivisible: a run that could not read something of it fails, where others name it and go on.
    most_changed: how many entries duplicity may find changed; None: any. A source that lays stand-ins for what the
    chain has already says this, and the run fails when one of them was read.
    """

    root: Path
    namespace: MountNamespace | None = None
    reads_all: bool = False
    selections: tuple[tuple[str, ...], ...] = ((),)
    counted_again: int = 0
    consistency: Mapping[str, Any] = field(default_factory=dict)
    covers: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    is_indivisible: bool = False
    most_changed: int | None = None


class Source(Protocol):
    """Makes the data of a set ready."""

    @property
    def kind(self) -> str:
        """What the manifest calls it: "paths", "postgresql"."""
        ...

    def prepare(self, scratch: Path) -> AbstractContextManager[Prepared]:
        """Make the data ready; `scratch` is an empty private folder that is the same at every run.

        Raises SourceFailed saying what to do, TimedOut. Leaving the context, however it is left, ends every process
        and gives every lock back; what a kill -9 left in `scratch` is removed before the next run.
        """
        ...


@runtime_checkable
class ChainedSource(Source, Protocol):
    """A source whose incrementals go by the consistency record of the run before: what they read, or in which parts."""

    def doubt(self, before: Mapping[str, Any]) -> str | None:
        """Return why an incremental cannot go on from `before`, so that the next run has to be a full; else None.

        Raises SourceFailed, TimedOut.
        """
        ...

    def prepare_after(self, scratch: Path, before: Mapping[str, Any]) -> AbstractContextManager[Prepared]:
        """Make ready what an incremental saves that goes on from the run of `before`; all else as in `prepare`."""
        ...
