"""When a standby may take the lease: a decision only.

The database's clock says how old the heartbeat is, but a heartbeat also gets old while the database itself is frozen,
restarted or cut off from everybody: then the holder is as well as before and beats again in a moment. So a standby has
to have watched the silence itself, looks being answered, for a while. Whatever it decides, the fence holds: a wrong
takeover costs a pause, never a second writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from server.store.lease import LeaseView

Standing = Literal["held", "doubtful", "free"]
"""`held`: its holder's heart beats. `doubtful`: it has missed beats. `free`: to be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How long is too long, in seconds.

    `frozen`: of a holder whose connections to the database are there. `gone`: of one without any: its process or its
    network is gone, since a slow process keeps its connections. `watched`: of that, seen by this standby itself.
    `doubtful`: when a takeover begins to be likely.
    """

    frozen: float
    gone: float
    watched: float
    doubtful: float = 1.2

    @classmethod
    def of(cls, takeover_after_seconds: float) -> Silence:
        """Return what follows from the silence after which a standby takes over."""
        return cls(
            frozen=takeover_after_seconds, gone=takeover_after_seconds * 2 / 3, watched=takeover_after_seconds / 2
        )

    def limit(self, view: LeaseView) -> float:
        """Return the silence after which this holder is replaced."""
        return self.frozen if view.is_holder_connected else self.gone


class LeaseWatch:
    """What one standby has seen of the lease, look by look. Seconds are monotonic."""

    def __init__(self, silence: Silence, own_name: str) -> None:
        self._silence = silence
        self._own_name = own_name
        self._beat: tuple[int, float] | None = None
        self._watched_since = 0.0
        self._was_slow = False

    def interrupt(self) -> None:
        """Note that a look was not answered."""
        self._beat = None

    def judge(self, view: LeaseView, asked: float, answered: float) -> Standing:
        """Judge a look that was asked and answered at these instants."""
        beat = (view.epoch, view.heartbeat_at)
        is_slow = answered - asked > self._silence.watched
        if beat != self._beat:
            self._beat, self._watched_since, self._was_slow = beat, answered, is_slow
        elif is_slow and not self._was_slow:  # the database stood still; once, lest a slow one is never judged
            self._watched_since, self._was_slow = answered, True
        if view.is_released:
            return "free"
        # Our own last life holds nothing any more.
        is_watched = view.holder == self._own_name or answered - self._watched_since >= self._silence.watched
        if view.heartbeat_age_seconds > self._silence.limit(view) and is_watched:
            return "free"
        return "doubtful" if view.heartbeat_age_seconds > self._silence.doubtful else "held"
