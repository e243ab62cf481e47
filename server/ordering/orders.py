"""The open orders as the active server holds them, and how an agent's document says them; pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.store.backup_orders import BackupOrder

FIELD: Final = "backup_runs"
_STATES: Final = frozenset(("started", "ok", "failed", "refused", "cancelled"))


class RunOrders:
    """What agents are to be told, by host. Empty on a standby."""

    def __init__(self) -> None:
        self._by_host: dict[str, list[dict[str, Any]]] = {}

    def replace(self, orders: Iterable[BackupOrder]) -> None:
        """Tell these from now on, and no others."""
        found: dict[str, list[dict[str, Any]]] = {}
        for order in orders:
            entry = {
                "set": order.set,
                "due_at": order.due_at.isoformat(),
                "expires_at": order.expires_at.isoformat(),
                "is_cancelled": order.cancelled_by is not None,
                "is_given": bool(order.limits),
            }
            found.setdefault(order.host, []).append(entry)
        self._by_host = found

    def amended(self, host: str | None, document: dict[str, Any]) -> dict[str, Any]:
        """Return the document of a host's agent with the runs that are ordered there."""
        orders = self._by_host.get(host or "")
        return document if not orders else {**document, FIELD: orders}


class Answered(NamedTuple):
    """What a host says of the order due at `due_at`."""

    due_at: datetime
    state: str
    note: str


def read_answer(text: str) -> Answered | None:
    """Read the item backup.order: "DUE STATE NOTE"; None when it holds no answer."""
    due, _, rest = text.partition(" ")
    state, _, note = rest.partition(" ")
    if state not in _STATES:
        return None
    try:
        due_at = datetime.fromisoformat(due)
    except ValueError:
        return None
    return None if due_at.tzinfo is None else Answered(due_at, state, note[:1000])
