"""What lies at a target and no manifest names: leavings of runs that ended early, or what deleted manifests left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.chain import files_of_chain
from backup.engine.names import role_of, run_instant
from backup.model import Role, instant_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backup.catalogue import Catalogue
    from backup.station.station import Station


def files_of_unknown_chains(station: Station, catalogue: Catalogue) -> list[str]:
    """Return every file in chains of which no manifest is there, by its whole name. Raises what the target raises."""
    known = {point.manifest.chain for point in catalogue.points}
    return [
        f"{station.place.chain(chain)}/{name}"
        for chain in station.target.folders(station.place.chains)
        if chain not in known
        for name in sorted(files_of_chain(station.target, station.place, chain))
    ]


def unsigned_runs(strays: Sequence[str], catalogue: Catalogue) -> tuple[datetime, ...]:
    """Return the runs whose files lie there whole, as duplicity writes its manifest last, while ours is not there.

    Each is under way, was killed in between, or had its manifest deleted: only its host may know.
    """
    ends = {run_instant(name) for name in strays if role_of(name.rpartition("/")[2]) is Role.MANIFEST}
    told = {each.name.partition(".")[0] for each in catalogue.refused}
    return tuple(sorted(at for at in ends if at is not None and instant_name(at) not in told))
