"""What every source promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Data that is ready to be read, for as long as its context lasts.

    root: the folder duplicity reads. It is the same at every run, so that deltas are against the run before.
    selection: duplicity's include and exclude options, in order.
    consistency: what the source can say of the moment the data is of; plain JSON values.
    remarks: what of the source is not saved, or not as of that moment; people are reminded of it.
    """

    root: Path
    selection: tuple[str, ...] = ()
    consistency: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


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
