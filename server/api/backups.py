"""Backup sets as their hosts report them, and what the restore station finds of them at the target."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from server.api.drills import DrillView, read_drills
from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError
from server.api.history import Instant
from server.api.item_key import split_key
from server.api.scope import require_host, visible_hosts
from server.api.set_values import NewestValues, all_items
from server.api.verifications import VerificationView, read_verifications
from server.restoring.program import TooBusy
from server.restoring.station import READ_SECONDS, RestoreStation
from server.store.latest import Latest

SetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")]
HostName = SetName


def _refuse_halves(path: str) -> str:
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in path):
        raise ValueError("half a surrogate pair is no letter")
    return path


BackupPath = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$"), AfterValidator(_refuse_halves)]
RunStatus = Literal["ok", "running", "failed", "never", "cancelled"]

_STATUS: tuple[RunStatus, ...] = ("ok", "running", "failed", "never", "cancelled")
_NOT_FOUND_CODES = (3, 50, 51)  # bkp's own: no such set, restore point, path


class SetPath(Asked):
    """A backup set of a host."""

    host: HostName
    set: SetName


class FilesQuery(Asked):
    """Where to look in which restore point."""

    at: Instant | None = Field(None, description="The newest restore point not after this; else the newest.")
    path: BackupPath = Field("", description="A folder, relative to the set's root; empty: its top.")


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


class PointView(Answer):
    """An instant that can be restored; `broken` says why one cannot."""

    at: datetime
    kind: str
    chain: str
    size_bytes: int
    stored_bytes: int
    entries: int
    broken: str | None
    proven_at: datetime | None = None


class PointList(Answer):
    """Restore points, newest first."""

    points: list[PointView]


class FileView(Answer):
    """Something in a backup."""

    name: str
    kind: str
    size_bytes: int | None = Field(None, description="Not known without restoring: null.")
    changed_at: datetime


class FileList(Answer):
    """What lies directly in a folder of the restore point of `at`."""

    at: datetime
    path: str
    files: list[FileView]


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


@endpoint(
    "GET", "/backups/{host}/{set}/points", role=Role.VIEWER, timeout_seconds=READ_SECONDS + 10, failures=(409, 502)
)
async def list_points(call: Call, path: SetPath) -> PointList:
    """List what can be restored of a set, newest first, as the restore station finds it at the target."""
    await require_host(call, path.host)
    document = await ask_station(call, "list", [], path)
    drill = (await read_drills(call)).get((path.host, path.set))
    proven = None if drill is None else drill.proven_point
    return PointList(
        points=[
            PointView(
                at=datetime.fromisoformat(point["at"]),
                kind=point["kind"],
                chain=point["chain"],
                size_bytes=point["source_bytes"],
                stored_bytes=point["stored_bytes"],
                entries=point["entries"],
                broken=point["broken"],
                proven_at=drill.proven_at if drill and datetime.fromisoformat(point["at"]) == proven else None,
            )
            for point in document["points"]
        ]
    )


@endpoint(
    "GET", "/backups/{host}/{set}/files", role=Role.VIEWER, timeout_seconds=READ_SECONDS + 10, failures=(409, 502)
)
async def list_backup_files(call: Call, path: SetPath, query: FilesQuery) -> FileList:
    """List a folder of a restore point, as the restore station finds it at the target."""
    await require_host(call, path.host)
    options = [] if query.at is None else [f"--at={iso(query.at)}"]
    document = await ask_station(call, "ls", options, path, query.path)
    return FileList(
        at=datetime.fromisoformat(document["at"]),
        path=document["path"],
        files=[
            FileView(
                name=entry["path"].rpartition("/")[2],
                kind=entry["kind"],
                changed_at=datetime.fromisoformat(entry["changed_at"]),
            )
            for entry in document["files"]
        ],
    )


def station_of(call: Call) -> RestoreStation:
    """Return the restore station. Raises ApiError 409 saying how to have one."""
    station = call.services.restoring
    if station is None:
        raise ApiError(
            409,
            "no_restore_station",
            "This server has no restore station, so it can neither look into backups nor restore.",
            remedy="Set `restore_station` in the server's configuration to the station's backup.toml (docs/backup.md),"
            " or use `bkp` on the machine that has the key.",
        )
    return station


def too_busy() -> ApiError:
    """As many restorations and looks are under way as may be."""
    return ApiError(
        503,
        "too_busy",
        "The restore station is busy.",
        remedy="Try again in a minute.",
        headers={"Retry-After": "30"},
    )


async def ask_station(call: Call, command: str, options: list[str], path: SetPath, *words: str) -> dict[str, Any]:
    """Run one of `bkp`'s reading commands for a set and return its document. Raises ApiError."""
    station = station_of(call)
    try:
        answered = await station.program.call(
            command, options, f"{path.host}/{path.set}", *words, limit_seconds=READ_SECONDS
        )
    except TooBusy as error:
        raise too_busy() from error
    except (OSError, TimeoutError) as error:
        raise _station_failed(str(error) or f"it did not answer within {READ_SECONDS:g} s") from error
    if answered.exit_code in _NOT_FOUND_CODES:
        raise ApiError(404, "not_found", answered.error, remedy="List the restore points, then ask for what is there.")
    if answered.exit_code != 0:
        raise _station_failed(answered.error)
    return answered.document


def iso(at: datetime) -> str:
    """Return an instant as `bkp` takes it."""
    return at.astimezone(UTC).isoformat()


def _station_failed(words: str) -> ApiError:
    return ApiError(
        502,
        "restore_station_failed",
        f"The restore station could not do it: {words:.1000}",
        remedy="Run `bkp doctor` with the restore station's configuration.",
    )


ENDPOINTS = (list_backups, list_points, list_backup_files)
