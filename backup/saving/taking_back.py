"""What a run that was told to end takes back of what it put at its targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.keys.ring import KeyRing
from backup.saving.copies import open_copies
from backup.saving.mending import mend_records

if TYPE_CHECKING:
    from backup.saving.attempt import Attempt


def take_back(attempt: Attempt) -> None:
    """Remove what the run left at its targets; one whose manifest was there already, at each of them, is a good one.

    Raises what the main target raises; the next run does the same.
    """
    settings = attempt.settings
    ring = KeyRing(settings.keys.host, settings.keys.host_passphrase_file)
    with ring, open_copies(settings, attempt.chosen, attempt.place) as copies:
        copies.look(ring)
        mend_records(attempt.journal, copies.common)
        copies.clear(attempt.journal.newest())
