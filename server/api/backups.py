"""Backup sets as their hosts report them, with what their restore station says of each."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from server.api.drills import DrillView, read_drills
from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.item_key import split_key
from server.api.scope import visible_hosts
from server.api.set_values import NewestValues, all_items
from server.api.verifications import VerificationView, read_verifications
from server.store.latest import Latest

SetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")]
HostName = SetName


RunStatus = Literal["ok", "running", "failed", "never", "cancelled"]

_STATUS: tuple[RunStatus, ...] = ("ok", "running", "failed", "never", "cancelled")


class SetPath(Asked):
    """A backup set of a host."""

    host: HostName
    set: SetName


class LastRun(Answer):
    """How the last run ended; kind, sizes and duration are of the last good one."""

    status: RunStatus
    at: datetime | None
    kind: str | None
    size_bytes: float | None
    stored_bytes: float | None
    duration_seconds: float | None
    error: str | None


class BackupSetView(Answer):
    """A set as its host reports it. `age_seconds` and `good_at` are of the last good backup's data."""

    host: str
    set: str
    last_run: LastRun
    age_seconds: float | None
    overdue_seconds: float | None
    good_at: datetime | None
    restore_points: int | None
    proven_at: datetime | None = Field(None, description="When a drill last proved it by restoring it.")
    drill: DrillView | None = Field(None, description="What its restore station says of its drills.")
    verification: VerificationView | None = Field(
        None, description="What its restore station says of its verifications."
    )
    loss_seconds: float | None = Field(
        None, description="How much work a disaster would cost at worst, by schedule, duration and age."
    )
    loss_over_seconds: float | None = Field(None, description="How much more that is than its lose_at_most allows.")
    waiting_seconds: float | None = Field(
        None, description="How long it has been due and waits for others on its host; 0: it does not."
    )
    queued_seconds: float | None = Field(
        None, description="How long it has waited for a place under a limit; 0: it does not."
    )
    is_unplaced: bool = Field(False, description="The last run began without its place, which nobody gave it in time.")
    reminder: str | None


class BackupSetList(Answer):
    """All sets, by host and name. `restores`: whether this server has a restore station to look into them.

    `station_config`: that station's backup.toml on the server's machine, for commands to copy; to operators only.
    `reminders`: what has to be done at that station, such as keeping its key's escrow sheet safe; empty until looked.
    """

    backups: list[BackupSetView]
    restores: bool
    station_config: str | None
    reminders: list[str]


@endpoint("GET", "/backups", role=Role.VIEWER)
async def list_backups(call: Call) -> BackupSetList:
    """List the backup sets that hosts report, with how each stands."""
    visible = await visible_hosts(call)
    async with call.services.database.connection() as connection:
        items = await all_items(connection, "backup.", visible)
    latest = await call.services.latest.of_items(items)
    drills, verifications = await read_drills(call), await read_verifications(call)
    sets: dict[tuple[str, str], dict[str, Latest]] = {}
    for item in items:
        name, parameter = split_key(item.key)
        newest = latest.get(item.id)
        if parameter is not None and newest is not None:
            sets.setdefault((item.host, parameter), {})[name.removeprefix("backup.")] = newest
    views = [
        view_set(host, name, found, drills.get((host, name)), verifications.get((host, name)))
        for (host, name), found in sorted(sets.items())
        if "status" in found
    ]
    station = call.services.restoring
    is_operator = call.visitor is not None and call.visitor.role in ("operator", "administrator")
    return BackupSetList(
        backups=views,
        restores=station is not None,
        station_config=str(station.program.config) if station is not None and is_operator else None,
        reminders=[] if station is None or visible is not None else list(station.reminders()),
    )


def view_set(
    host: str, name: str, found: dict[str, Latest], drill: DrillView | None, verification: VerificationView | None
) -> BackupSetView:
    """Make a set's view from its items' newest values, which came at one instant or another."""
    values = NewestValues(found)
    number, text, instant = values.number, values.text, values.instant
    code = number("status")
    points = number("restore_points")
    return BackupSetView(
        host=host,
        set=name,
        last_run=LastRun(
            status=_STATUS[int(code)] if code is not None and 0 <= code < len(_STATUS) else "failed",
            at=instant("run_age_seconds"),
            kind=text("kind"),
            size_bytes=number("size_bytes"),
            stored_bytes=number("stored_bytes"),
            duration_seconds=number("duration_seconds"),
            error=text("error"),
        ),
        age_seconds=number("age_seconds"),
        overdue_seconds=number("overdue_seconds"),
        good_at=instant("age_seconds"),
        restore_points=None if points is None else int(points),
        proven_at=None if drill is None else drill.proven_at,
        drill=drill,
        verification=verification,
        loss_seconds=number("loss_seconds"),
        loss_over_seconds=number("loss_over_seconds"),
        waiting_seconds=number("waiting_seconds"),
        queued_seconds=number("queued_seconds"),
        is_unplaced=number("unplaced") == 1.0,
        reminder=text("reminder"),
    )


ENDPOINTS = (list_backups,)
