"""Orders a run of a set, or its end, in the caller's transaction: for the API and for commands alike."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from server.store.audit import write_audit
from server.store.backup_orders import add_order, cancel_order, has_set, read_orders_of
from server.store.definitions import find_definition

if TYPE_CHECKING:
    from datetime import datetime

    from server.store.backup_orders import BackupOrder
    from server.store.database import Connection

EXPIRES: Final = timedelta(minutes=15)
"""How long an order waits for a host whose agent is away."""
LEEWAY: Final = timedelta(minutes=10)


class OrderRefused(Exception):
    """A run is not ordered. `code` is a word for programs (`no_set` where there is none), `remedy` what to do."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy


async def order_run(  # noqa: PLR0913 - who orders which run when, by name
    connection: Connection, *, host: str, name: str, due_at: datetime, now: datetime, by: str, address: str = ""
) -> BackupOrder:
    """Order the run (host, set, due_at) and return it; the same again is the order there is. Raises OrderRefused."""
    due_at = due_at.replace(microsecond=0)
    if abs(due_at - now) > LEEWAY:
        raise OrderRefused(
            "bad_instant",
            "A run is due now: its instant may be ten minutes off at most.",
            "Leave it out, or give the instant at which you first asked.",
        )
    if not await has_set(connection, host, name):
        raise OrderRefused("no_set", f"No agent says that it keeps a set {host}/{name}.", "Look at the page Backups.")
    if await find_definition(connection, "host", host) is None:
        raise OrderRefused(
            "not_defined", f"{host} is not defined, so its agent is told nothing.",
            "Define the host, or run `bkp run` there.",
        )  # fmt: skip
    found = await read_orders_of(connection, host, name)
    same = next((order for order in found if order.due_at == due_at), None)
    if same is not None:
        return same
    made = None
    if not found or found[0].due_at < due_at:
        made = await add_order(connection, host=host, name=name, due_at=due_at, by=by, expires_at=now + EXPIRES)
    if made is None:  # another one is in its way, or somebody else was faster with the same
        return await _find_same(connection, host, name, due_at)
    detail = {"due_at": due_at.isoformat()}
    await write_audit(
        connection, actor=by, action="backup.run", object_=f"{host}/{name}", address=address, detail=detail
    )
    return made


async def cancel_run(
    connection: Connection, order_id: int, *, host: str, name: str, by: str, address: str = ""
) -> BackupOrder | None:
    """Have an ordered run ended, or never begun; None when there is no such order whose end is not known."""
    found = await cancel_order(connection, order_id, host, name, by)
    if found is not None:
        detail = {"due_at": found.due_at.isoformat()}
        await write_audit(
            connection, actor=by, action="backup.cancel", object_=f"{host}/{name}", address=address, detail=detail
        )
    return found


async def _find_same(connection: Connection, host: str, name: str, due_at: datetime) -> BackupOrder:
    found = await read_orders_of(connection, host, name)
    for order in found:
        if order.due_at == due_at:
            return order
    newest = found[0]
    what = f"is {newest.state}" if newest.is_open else "was ordered for a later instant"
    raise OrderRefused(
        "run_under_way",
        f"A run of {host}/{name}, due {newest.due_at:%Y-%m-%d %H:%M:%S} UTC, {what}.",
        "Wait until it has ended, or cancel it.",
    )
