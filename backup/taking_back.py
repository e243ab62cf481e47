"""What a run that was told to end takes back from its targets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.copies import open_copies
from backup.keys.ring import KeyRing
from backup.leftovers import clear_leftovers
from backup.mending import mend_records

if TYPE_CHECKING:
    from backup.attempt import Attempt


def take_back(attempt: Attempt) -> None:
    """Remove what a run that was told to end left at its targets; one whose manifest was there already is a good one.

    Raises what the targets raise; the next run does the same.
    """
    settings = attempt.settings
    ring = KeyRing(settings.keys.host, settings.keys.host_passphrase_file)
    with ring, open_copies(settings, attempt.chosen, attempt.place) as copies:
        copies.look(ring)
        mend_records(attempt.journal, copies.common)
        for each in copies.present:
            clear_leftovers(each.target, each.settings, attempt.place, each.catalogue, attempt.journal.newest())
