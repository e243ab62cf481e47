"""Restore points of a backup set and the files in them, as the restore station finds them at the target."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from server.api.backups import SetPath
from server.api.drills import read_drills
from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.history import Instant
from server.api.restore_station import ask_station, iso
from server.api.scope import require_host
from server.restoring.station import READ_SECONDS


def _refuse_halves(path: str) -> str:
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in path):
        raise ValueError("half a surrogate pair is no letter")
    return path


BackupPath = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$"), AfterValidator(_refuse_halves)]


class FilesQuery(Asked):
    """Where to look in which restore point."""

    at: Instant | None = Field(None, description="The newest restore point not after this; else the newest.")
    path: BackupPath = Field("", description="A folder, relative to the set's root; empty: its top.")


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


ENDPOINTS = (list_points, list_backup_files)
