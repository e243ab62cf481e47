"""What `bkp verify` says of whole runs without their manifest: as much as can be known of them from a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.command.telling import local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from backup.restoring.verify import Report


def words_of_unsigned(report: Report, others: Mapping[str, Report]) -> Iterator[str]:
    """Yield what may have become of the manifests of whole runs at a copy, and what can be done.

    others: what was found at the set's other copies, by their labels. What is told as gone is not told again.
    """
    open_ones = [at for at in report.unsigned if at not in report.lost]
    for label, other in others.items():
        there = [at for at in open_ones if at in other.restorable or at in other.lost]
        if there:
            yield (
                f"{_runs(there)} here without {_its(there)} manifest, which is at {label}: it was deleted here, or is"
                " still to be copied; the next run on its host brings it"
            )
        open_ones = [at for at in open_ones if at not in there]
    newest = max(report.restorable, default=None)
    later = [at for at in open_ones if newest is None or at > newest]
    if later:
        than = "" if newest is None else f", newer than what can be restored of {local(newest)},"
        yield (
            f"{_runs(later)} here whole{than} without {_its(later)} manifest: under way, killed before the end, or the"
            " manifest was deleted. Which of them, `bkp status` on its host knows after the next run there: a run that"
            " was killed, or restore points that vanished. What was deleted the target's older versions may still have"
        )
    if earlier := [at for at in open_ones if at not in later]:
        yield (
            f"{_runs(earlier)} here whole without {_its(earlier)} manifest, and later ones are signed: a host takes"
            " back what its killed runs left, where it may delete at the target; else the manifest was deleted"
        )


def _runs(runs: Sequence[datetime]) -> str:
    instants = ", ".join(local(at) for at in runs)
    return f"a run of {instants} lies" if len(runs) == 1 else f"runs of {instants} lie"


def _its(runs: Sequence[datetime]) -> str:
    return "its" if len(runs) == 1 else "their"
