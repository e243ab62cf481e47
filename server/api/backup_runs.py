"""Runs of backup sets that people order here: begun by the host's agent, watched, cancelled."""

from datetime import datetime

from pydantic import Field

from server.api.backups import SetPath
from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.api.history import Instant
from server.api.scope import require_host
from server.ordering.asking import OrderRefused
from server.ordering.asking import cancel_run as ask_for_end
from server.ordering.asking import order_run as ask_for_run
from server.store.backup_orders import BackupOrder, State, read_orders_of, read_phase
from server.store.database import Connection
from server.store.instants import to_datetime


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
    """The newest twenty orders of a set, newest first; what the schedule began only where a limit gave it a place."""

    runs: list[RunView]


@endpoint("POST", "/backups/{host}/{set}/runs", role=Role.OPERATOR, status=202, failures=(409,))
async def order_run(call: Call, path: SetPath, body: RunBody) -> RunView:
    """Order a run of a set now; 202 with the order. The same `due_at` again answers with the order there is."""
    await require_host(call, path.host)
    now = to_datetime(call.services.clock.now_us())
    try:
        async with call.services.database.connection() as connection, connection.transaction():
            made = await ask_for_run(
                connection,
                host=path.host,
                name=path.set,
                due_at=body.due_at or now,
                now=now,
                by=call.user,
                address=call.address,
            )
            return await _view(connection, made)
    except OrderRefused as error:
        if error.code == "no_set":
            raise not_found("backup set", f"{path.host}/{path.set}") from error
        status = 400 if error.code == "bad_instant" else 409
        raise ApiError(status, error.code, error.message, remedy=error.remedy) from error


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
        found = await ask_for_end(
            connection, path.id, host=path.host, name=path.set, by=call.user, address=call.address
        )
        if found is None:
            raise not_found("run under way", str(path.id))
        return await _view(connection, found)


async def _view(connection: Connection, order: BackupOrder) -> RunView:
    phase = await read_phase(connection, order.host, order.set) if order.state == "started" else None
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
