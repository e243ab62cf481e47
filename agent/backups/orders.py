"""Runs of sets that a server ordered or gave their place: what its document says, and what became of each.

The document may come again and again, from one server or the next, and over restarts: an order that was answered is not
followed twice, and one that was begun goes on under its id, which `bkp run` never runs twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD: Final = "backup_runs"
MOST_ORDERS: Final = 200
ENDED: Final = frozenset(("ok", "failed", "refused", "cancelled"))
_LONGEST_NOTE: Final = 300

State = Literal["started", "ok", "failed", "refused", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """Save `set` under the id (set, due_at); not begun any more after `expires_at`; to be ended if `is_cancelled`.

    is_given: nobody wants it now but the schedule, which waited for a place under a limit and has got it.
    """

    set: str
    due_at: datetime
    expires_at: datetime
    is_cancelled: bool
    is_given: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of an order."""

    due_at: datetime
    state: State
    note: str


def read_orders(body: Mapping[str, Any] | None) -> tuple[RunOrder, ...]:
    """Return the orders of a document; what is not understood is passed over, and the server lets it expire."""
    listed = None if body is None else body.get(FIELD)
    if not isinstance(listed, list):
        return ()
    found = (_read_order(entry) for entry in listed[:MOST_ORDERS])
    return tuple(order for order in found if order is not None)


def _read_order(entry: Any) -> RunOrder | None:
    try:
        order = RunOrder(
            set=str(entry["set"]),
            due_at=datetime.fromisoformat(entry["due_at"]),
            expires_at=datetime.fromisoformat(entry["expires_at"]),
            is_cancelled=entry["is_cancelled"] is True,
            is_given=entry.get("is_given") is True,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return None if order.due_at.tzinfo is None or order.expires_at.tzinfo is None else order


class OrderBook:
    """The answer to the last order of each set; `table` is its form in the agent's file."""

    def __init__(self, table: Any = None) -> None:
        """Read what was answered before the restart; what cannot be understood is forgotten."""
        self._answers: dict[str, Answer] = {}
        for name, entry in table.items() if isinstance(table, dict) else ():
            try:
                due_at = datetime.fromisoformat(entry["due_at"])
                self._answers[name] = Answer(due_at=due_at, state=entry["state"], note=str(entry["note"]))
            except (KeyError, TypeError, ValueError):
                continue

    @property
    def table(self) -> dict[str, dict[str, str]]:
        """The answers as plain JSON values."""
        return {
            name: {"due_at": each.due_at.isoformat(), "state": each.state, "note": each.note}
            for name, each in self._answers.items()
        }

    def answered(self, name: str) -> datetime | None:
        """Return when the run was due whose order was answered last, of a set."""
        answer = self._answers.get(name)
        return None if answer is None else answer.due_at

    def is_begun(self, order: RunOrder) -> bool:
        """Tell whether anything was answered to this very order."""
        answer = self._answers.get(order.set)
        return answer is not None and answer.due_at == order.due_at

    def is_over(self, order: RunOrder) -> bool:
        """Tell whether the order is done with, or older than one that was answered."""
        answer = self._answers.get(order.set)
        if answer is None or answer.due_at < order.due_at:
            return False
        return answer.due_at > order.due_at or answer.state in ENDED

    def answer(self, name: str, due_at: datetime, state: State, note: str = "") -> None:
        """Note what became of an order."""
        text = "".join(letter if letter.isprintable() else " " for letter in note)
        self._answers[name] = Answer(due_at=due_at, state=state, note=text[:_LONGEST_NOTE])
