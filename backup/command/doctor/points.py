"""What `bkp doctor` says of restore points: whether this station can use each one that the targets have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.catalogue import IMPORT_REMEDY
from backup.command.reach import all_sets
from backup.errors import KeyMissing
from backup.station.station import UNREACHED, open_station
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.settings.document import BackupSettings

_SEE = "bkp verify says what is lost and what follows"


def unusable_points(settings: BackupSettings) -> Iterator[tuple[str, str, str]]:
    """Yield each copy of a set that has points which cannot be used here: its label, what is wrong, what to do.

    Of a host that is not trusted here at all only the sets of the configuration are told. What targets are away is
    told elsewhere.
    """
    reach = all_sets(settings)
    for chosen in reach.copies():
        label = f"{reach.label(chosen)} at {chosen.target}"
        try:
            with open_station(settings, chosen) as station:
                catalogue = station.catalogue()
        except UNREACHED:
            continue
        except KeyMissing as error:
            if settings.has_set(chosen):
                yield label, str(error), "bring the host's public key, as it says"
            continue
        if catalogue.unusable:
            stranger = any(each.is_of_stranger for each in catalogue.unusable)
            newest = catalogue.unusable[-1].why
            yield (
                label,
                f"{counted(len(catalogue.unusable), 'restore point')} cannot be used, the newest: {newest}",
                (IMPORT_REMEDY if stranger else _SEE),
            )
