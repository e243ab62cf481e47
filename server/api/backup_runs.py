"""Runs of backup sets that people order here: begun by the host's agent, watched, cancelled."""

from datetime import datetime, timedelta

from pydantic import Field

from server.api.backups import SetPath
from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.api.history import Instant
from server.api.scope import require_host
from server.store.audit import write_audit
from server.store.backup_orders import (
    BackupOrder,
    State,
    add_order,
    cancel_order,
    has_set,
    read_orders_of,
    read_phase,
)
from server.store.database import Connection
from server.store.definitions import find_definition
from server.store.instants import to_datetime

_EXPIRES = timedelta(minutes=15)
_LEEWAY = timedelta(minutes=10)


class RunBody(Asked):
    """A run to be ordered."""

    due_at: Instant | None = Field(
        None,
        description="With host and set the run's id, in whole seconds: the same one never runs twice. Left out: now.",
    )


class RunPath(SetPath):
    """An order of a set by its id."""

    id: int = Field(ge=1, le=2**62)


class RunView(Answer):
    """An order and what became of it; `phase` is what the run does now, `note` why it ended so."""

    id: int
    host: str
    set: str
    due_at: datetime
    ordered_by: str
    ordered_at: datetime
    state: State
    phase: str | None
    note: str
    cancelled_by: str | None
    answered_at: datetime | None


class RunList(Answer):
    """The newest twenty orders of a set, newest first. What the schedule started is not among them."""

    runs: list[RunView]


@endpoint("POST", "/backups/{host}/{set}/runs", role=Role.OPERATOR, status=202, failures=(409,))
async def order_run(call: Call, path: SetPath, body: RunBody) -> RunView:
    """Order a run of a set now; 202 with the order. The same `due_at` again answers with the order there is."""
    await require_host(call, path.host)
    now = to_datetime(call.services.clock.now_us())
    due_at = (body.due_at or now).replace(microsecond=0)
    if abs(due_at - now) > _LEEWAY:
        raise ApiError(
            400,
            "bad_instant",
            "A run is due now: `due_at` may be ten minutes off at most.",
            remedy="Leave it out, or send the instant at which you first asked.",
        )
    async with call.services.database.connection() as connection, connection.transaction():
        if not await has_set(connection, path.host, path.set):
            raise not_found("backup set", f"{path.host}/{path.set}")
        if await find_definition(connection, "host", path.host) is None:
            raise ApiError(
                409, "not_defined", f"{path.host} is not defined, so its agent is told nothing.",
                remedy="Define the host, or run `bkp run` there.",
            )  # fmt: skip
        known = await read_orders_of(connection, path.host, path.set, 1)
        if known and known[0].due_at == due_at:
            return await _view(connection, known[0])
        made = None
        if not known or known[0].due_at < due_at:
            made = await add_order(
                connection, host=path.host, name=path.set, due_at=due_at, by=call.user, expires_at=now + _EXPIRES
            )
        if made is None:
            return await _view(connection, await _find_same(connection, path, due_at))
        await write_audit(
            connection,
            actor=call.user,
            action="backup.run",
            object_=f"{path.host}/{path.set}",
            address=call.address,
            detail={"due_at": due_at.isoformat()},
        )
    return await _view(None, made)


@endpoint("GET", "/backups/{host}/{set}/runs", role=Role.VIEWER)
async def list_runs(call: Call, path: SetPath) -> RunList:
    """List the runs that were ordered of a set, newest first."""
    await require_host(call, path.host)
    async with call.services.database.connection() as connection:
        found = await read_orders_of(connection, path.host, path.set)
        return RunList(runs=[await _view(connection, order) for order in found])


@endpoint("DELETE", "/backups/{host}/{set}/runs/{id}", role=Role.OPERATOR, status=202)
async def cancel_run(call: Call, path: RunPath) -> RunView:
    """Have a run ended that was ordered here; 202, and its state says when it has ended. Nothing of it will count."""
    await require_host(call, path.host)
    async with call.services.database.connection() as connection, connection.transaction():
        found = await cancel_order(connection, path.id, path.host, path.set, call.user)
        if found is None:
            raise not_found("run under way", str(path.id))
        await write_audit(
            connection,
            actor=call.user,
            action="backup.cancel",
            object_=f"{path.host}/{path.set}",
            address=call.address,
            detail={"due_at": found.due_at.isoformat()},
        )
        return await _view(connection, found)


async def _find_same(connection: Connection, path: SetPath, due_at: datetime) -> BackupOrder:
    """Return the order of this very run. Raises ApiError 409 naming the one that is in its way."""
    found = await read_orders_of(connection, path.host, path.set)
    for order in found:
        if order.due_at == due_at:
            return order
    newest = found[0]
    what = f"is {newest.state}" if newest.is_open else "was ordered for a later instant"
    raise ApiError(
        409,
        "run_under_way",
        f"A run of {path.set}, due {newest.due_at:%Y-%m-%d %H:%M:%S} UTC, {what}.",
        remedy="Wait until it has ended, or cancel it.",
    )


async def _view(connection: Connection | None, order: BackupOrder) -> RunView:
    phase = None
    if connection is not None and order.state == "started":
        phase = await read_phase(connection, order.host, order.set)
    return RunView(
        id=order.id,
        host=order.host,
        set=order.set,
        due_at=order.due_at,
        ordered_by=order.ordered_by,
        ordered_at=order.ordered_at,
        state=order.state,
        phase=phase,
        note=order.note,
        cancelled_by=order.cancelled_by,
        answered_at=order.answered_at,
    )


ENDPOINTS = (order_run, list_runs, cancel_run)
