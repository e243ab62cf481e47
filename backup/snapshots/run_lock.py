"""The name of a run whose snapshots lie in no folder: locked in /run for as long as the run is alive."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.snapshots.own_folder import OwnFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "watchkeep-"
_LOCKS: Final = Path("/run")  # gone at this machine's next start, as its runs are


@contextmanager
def named_run() -> Iterator[tuple[str, OwnFolder]]:
    """Yield what a run's snapshots are called, and what tells runs that are alive. Raises SourceFailed."""
    with ExitStack() as stack:
        try:
            own = stack.enter_context(OwnFolder(_LOCKS))
            for dead in own.dead():
                own.give_up(dead)
            claimed = own.claim()
        except OSError as error:
            raise SourceFailed(f"nothing can be locked in {_LOCKS}, which tells runs apart: {error}") from error
        stack.callback(own.give_up, claimed)
        yield f"{PREFIX}{claimed.name}", own


def is_left(name: str, own: OwnFolder) -> bool:
    """Whether a snapshot of ours, by its name, is of a run that is dead."""
    return not own.is_alive(name.removeprefix(PREFIX))
