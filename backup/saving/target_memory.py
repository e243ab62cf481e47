"""What this host remembers of a set's targets while a run looks at them: disks, points, manifests it verified."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backup.errors import ObjectMissing, SetBusy, TargetAway, TargetFull, TargetRefused
from backup.saving.expected import expected_chains
from backup.saving.known_points import KnownPoints, gone_points, vanished_table
from backup.saving.verified_before import VerifiedBefore
from backup.targets.disk_mark import DiskMark
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from backup.keys.ring import KeyRing
    from backup.saving.attempt import Attempt
    from backup.saving.copy_of_set import Copy
    from backup.saving.known_points import Points


class TargetMemory:
    """The memory of one run. A run that was asked to begin anew takes each target as it is."""

    def __init__(self, attempt: Attempt, ring: KeyRing) -> None:
        self._attempt = attempt
        self.verified = VerifiedBefore(attempt.journal, ring)
        self._points = KnownPoints(attempt.journal)
        self._vanished: dict[str, Points] = {}
        self._found: dict[str, Points] = {}
        if attempt.is_anew:
            self._points.forget(attempt.chosen.targets)
        else:
            self._points.seed(attempt.chosen.target, attempt.journal.newest())

    @property
    def count(self) -> int:
        """How many points have vanished from the target that lost most."""
        return max((len(points) for points in self._vanished.values()), default=0)

    def demand_disk(self, copy: Copy) -> None:
        """Return when the target is the place it was. Makes nothing there. Raises TargetAway."""
        if not self._attempt.is_anew:
            self._mark(copy).demand(self._attempt.chosen.name)

    def compare(self, copy: Copy) -> None:
        """Note which points vanished from a target, by what was just read there.

        Raises TargetAway when that is all there were, at a folder that no mark shows to be the right one.
        """
        name, known = copy.settings.name, self._points.of(copy.settings.name)
        if known and not copy.catalogue.points and not copy.catalogue.refused and not self._mark(copy).is_there():
            raise TargetAway(
                f"target {name!r}: there is nothing in {copy.settings.folder}, where this host knows"
                f" {counted(len(known), 'restore point')}. Nothing was written. Mount its disk; if it was emptied,"
                f" moved or exchanged on purpose: bkp run {self._attempt.chosen.name} --anew"
            )
        expected = self._expected(copy, known) if gone_points(known, copy.catalogue) else frozenset()
        self._vanished[name] = self._points.look(name, copy.catalogue, expected)
        self._found[name] = dict(self._vanished[name])

    def keep(self, copies: Iterable[Copy]) -> None:
        """Keep what is known now, when points may have been added. Raises WorkFailed."""
        for copy in copies:
            name = copy.settings.name
            self._vanished[name] = self._points.look(name, copy.catalogue)
            if back := len(self._found.get(name, {})) - len(self._vanished[name]):
                self._attempt.reminders = [
                    *(self._attempt.reminders or []),
                    f"{counted(back, 'restore point')} had vanished from target {name!r}; it got all of them again from"
                    " the other target",
                ]
        self._points.write()
        self.verified.write()
        self._attempt.vanished = vanished_table(self._vanished)

    def adopt(self, copies: Iterable[Copy]) -> None:
        """Know the disks again from now on, where a restore point is whole. A mark that cannot be made is none."""
        for copy in copies:
            try:
                self._mark(copy).adopt()
            except (TargetAway, TargetRefused, TargetFull, ObjectMissing, SetBusy):
                continue

    def _expected(self, copy: Copy, known: Points) -> Collection[str]:
        """Return the chains that the set's own rules, if it has any, and the holds at a target keep there."""
        retention, place = self._attempt.chosen.retention, self._attempt.place
        rules = None if retention is None else retention.rules
        return expected_chains(copy.target, place, rules, known, copy.catalogue, datetime.now(UTC))

    def _mark(self, copy: Copy) -> DiskMark:
        return DiskMark(self._attempt.settings, copy.settings, copy.target)
