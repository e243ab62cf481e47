"""What the schedules of a backup.toml want now, by what is known of the sets' runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.backups.places import Wish, limits_for
from backup.schedule import Terms, decide, parse_schedule
from core.runtime.window import parse_window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from agent.backups.attempts import AttemptBook
    from agent.backups.places import Claim, Limit
    from backup.schedule import Attempts, Decision
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from core.runtime.window import Window


class ScheduledWants:
    """Decides for an agent that started at `started_at`."""

    def __init__(self, attempts: AttemptBook, started_at: datetime) -> None:
        self._attempts = attempts
        self._started_at = started_at

    def decide(self, settings: BackupSettings, chosen: SetSettings, now: datetime) -> Decision:
        """Decide whether the set's schedule wants a run now."""
        self._started_at = min(self._started_at, now)  # the clock may have been ahead
        return decide(
            parse_schedule(chosen.schedule),
            name=f"{settings.host}/{chosen.name}",
            known=self._known(settings, chosen, now),
            started_at=self._started_at,
            now=now,
            terms=Terms(window=_window_of(chosen), catch_up=chosen.catch_up),
        )

    def wish(
        self,
        settings: BackupSettings,
        chosen: SetSettings,
        decision: Decision,
        waiting: Claim | None,
        limits: Sequence[Limit],
        now: datetime,
    ) -> Wish | None:
        """Return what the set's run has to wait for; None when none is due, or none of the limits is for it.

        `waiting`: how it waits already. When its next run becomes due the schedule waits its turn once more; what waits
        goes on waiting.
        """
        own = limits_for(limits, chosen.targets)
        schedule = parse_schedule(chosen.schedule)
        base, known, window = schedule.last_due(now), self._known(settings, chosen, now), _window_of(chosen)
        due_at = decision.due_at
        if due_at is None and waiting is not None:
            is_open = window is None or window.closes_at(now) is not None
            due_at = waiting.due_at if is_open and (known is None or known.due_at < waiting.due_at) else None
        if not own or base is None or due_at is None:
            return None
        missed = None if known is None else schedule.next_due(known.due_at)
        return Wish(
            due_at=due_at,
            base=base,
            since=base if missed is None else min(missed, base),
            targets=chosen.targets,
            wait_at_most=min(limit.wait_at_most for limit in own),
            window=window,
        )

    def _known(self, settings: BackupSettings, chosen: SetSettings, now: datetime) -> Attempts | None:
        base = parse_schedule(chosen.schedule).last_due(now)
        return self._attempts.known(chosen.name, settings.state / f"{chosen.name}.json", base, now)


def _window_of(chosen: SetSettings) -> Window | None:
    return None if chosen.window is None else parse_window(chosen.window)
