"""Restoring one file of a backup over the page: asked for, watched, downloaded."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, BinaryIO, Literal
from urllib.parse import quote

from aiohttp import web
from pydantic import Field, StringConstraints

from server.api.backups import SetPath
from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.api.history import Instant
from server.api.restore_points import BackupPath
from server.api.restore_station import iso, station_of, too_busy
from server.api.scope import require_host
from server.coverage.judge import OWN_SETS
from server.restoring.program import TooBusy
from server.restoring.station import Restoration

_PIECE = 1 << 18
_WRITE_SECONDS = 60.0


class RestorationBody(Asked):
    """What to restore, and as of when."""

    path: Annotated[BackupPath, Field(min_length=1)]
    at: Instant


class RestorationPath(Asked):
    """A restoration by its id."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]


class RestorationView(Answer):
    """How a restoration stands; `size_bytes` once it is done, `error` when it failed."""

    id: str
    host: str
    set: str
    path: str
    state: Literal["running", "done", "failed"]
    size_bytes: int | None
    error: str | None


@endpoint("POST", "/backups/{host}/{set}/restoration", role=Role.OPERATOR, status=202, failures=(409, 503))
async def begin_restoration(call: Call, path: SetPath, body: RestorationBody) -> RestorationView:
    """Begin to restore one file as it was at an instant; 202 with its id. Of Watchkeep's own sets: administrators."""
    await require_host(call, path.host)
    _require_reach(call, path.set)
    station = station_of(call)
    if ".." in body.path.split("/"):
        raise ApiError(
            400, "bad_path", "A path in a backup leads down from the set's root.", remedy="Leave `..` out of it."
        )
    await call.services.accounts.audit(
        actor=call.user,
        action="backup.restore",
        object_=f"{path.host}/{path.set}",
        address=call.address,
        detail={"path": body.path, "at": iso(body.at)},
    )
    try:
        made = station.begin(host=path.host, set_name=path.set, path=body.path, at=iso(body.at), user=call.user)
    except TooBusy as error:
        raise too_busy() from error
    return _view(made)


@endpoint("GET", "/restorations/{id}", role=Role.OPERATOR, failures=(409,))
async def show_restoration(call: Call, path: RestorationPath) -> RestorationView:
    """Show how a restoration stands."""
    return _view(await _find(call, path.id))


@endpoint(
    "GET", "/restorations/{id}/file", role=Role.OPERATOR, media="application/octet-stream", timeout_seconds=None,
    failures=(409,),
)  # fmt: skip
async def download_restored(call: Call, path: RestorationPath) -> web.StreamResponse:
    """Download the restored file."""
    found = await _find(call, path.id)
    if found.state != "done" or found.file is None:
        raise ApiError(409, "not_ready", f"The restoration is {found.state}.", remedy="Wait until its state is done.")
    await call.services.accounts.audit(
        actor=call.user, action="backup.download", object_=f"{found.host}/{found.set}", address=call.address,
        detail={"path": found.path},
    )  # fmt: skip
    try:
        file = await asyncio.to_thread(_open, found.file)
    except OSError as error:
        raise not_found("restoration", path.id) from error
    try:
        response = web.StreamResponse(headers={"Content-Disposition": disposition(found.file.name)})
        response.content_type = "application/octet-stream"
        response.content_length = os.fstat(file.fileno()).st_size
        await response.prepare(call.request)
        while piece := await asyncio.to_thread(file.read, _PIECE):
            async with asyncio.timeout(_WRITE_SECONDS):
                await response.write(piece)
        await response.write_eof()
    finally:
        file.close()
    return response


def disposition(name: str) -> str:
    """Return the Content-Disposition of a file of any name (RFC 6266): no letter of it can end the header or a path."""
    letters = (letter if letter.isascii() and (letter.isalnum() or letter in "._- ") else "_" for letter in name)
    bare = "".join(letters).strip(". ") or "restored"
    return f"attachment; filename=\"{bare}\"; filename*=UTF-8''{quote(name.encode(errors='replace'), safe='')}"


def _open(file: Path) -> BinaryIO:
    """Open a plain file, never what a link points at."""
    return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


async def _find(call: Call, identity: str) -> Restoration:
    """Return a restoration of whoever asks; an administrator may look after anybody's. Raises ApiError 404."""
    found = station_of(call).find(identity)
    is_theirs = found is not None and call.visitor is not None and (
        found.user == call.user or call.visitor.role == "administrator"
    )  # fmt: skip
    if found is None or not is_theirs:
        raise not_found("restoration", identity)
    await require_host(call, found.host)
    _require_reach(call, found.set)
    return found


def _require_reach(call: Call, set_name: str) -> None:
    """Raise ApiError 403 for a set the visitor may not have: who has Watchkeep's own keys can be anybody."""
    if set_name.startswith(OWN_SETS) and (call.visitor is None or call.visitor.role != "administrator"):
        call.services.refusals.count("web.own_sets", f"{call.request.method} {call.request.path} by {call.user}")
        raise ApiError(
            403,
            "own_secrets",
            f"Sets named {OWN_SETS}… hold Watchkeep's own keys and accounts.",
            remedy="Ask an administrator to restore it.",
        )


def _view(found: Restoration) -> RestorationView:
    return RestorationView(
        id=found.id,
        host=found.host,
        set=found.set,
        path=found.path,
        state=found.state,
        size_bytes=found.size_bytes,
        error=found.error,
    )


ENDPOINTS = (begin_restoration, show_restoration, download_restored)
