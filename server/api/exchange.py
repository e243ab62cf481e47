"""History as files: an export is streamed as it is read, an import is taken in whole before anything is stored."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, BinaryIO, Final, Literal, cast

from aiohttp import web
from pydantic import Field

from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError
from server.api.history import Instant
from server.api.scope import visible_hosts
from server.api.security import reaches, visitor_of
from server.exchange.exporting import Order, Selection, export, select_items
from server.exchange.importing import Import, ImportBrokenOff, import_history
from server.exchange.registry import MEDIA, FormUnknown
from server.inventory.key_pattern import KeyPattern
from server.store.errors import StoreError
from server.store.instants import to_datetime

log = logging.getLogger(__name__)

MAX_IMPORT_BYTES: Final = 1 << 30
CHECK_SECONDS: Final = 10.0  # how soon an export ends after its session, token or right
_PIECE_SECONDS: Final = 30.0  # whoever neither takes nor sends anything for so long loses the connection
_PIECE_BYTES: Final = 1 << 20

Form = Literal["csv", "jsonl", "parquet"]
_Patterns = Annotated[list[KeyPattern], Field(max_length=50)]


class ExportQuery(Asked):
    """Which items, which range, in which form."""

    host: _Patterns = Field([], description="Only hosts whose name fits: * any letters, ? one.")
    group: Annotated[list[KeyPattern], Field(max_length=50)] = Field([], description="Only hosts of these groups.")
    item: _Patterns = Field([], description="Only items whose key fits; brackets stand for themselves.")
    begin: Instant = Field(
        datetime(1970, 1, 1, tzinfo=UTC), alias="from", description="Begin, with its offset from UTC."
    )
    end: Instant | None = Field(None, alias="to", description="End, itself left out; now where none is given.")
    kind: Literal["samples", "trends"] = "samples"
    format: Form = "csv"


class ImportQuery(Asked):
    """In which form the body is."""

    format: Form = "csv"


class ImportView(Answer):
    """What became of the rows: stored, known before, or refused (older than kept, more than ten minutes ahead)."""

    rows: int
    stored: int
    known: int
    too_old: int
    ahead: int
    hosts_made: int
    items_made: int


@endpoint("GET", "/history/export", role=Role.VIEWER, media=tuple(MEDIA.values()), timeout_seconds=None)
async def export_history(call: Call, query: ExportQuery) -> web.StreamResponse:
    """Send samples or trends of any selection of items as one file, streamed; it ends early with session or right."""
    services = call.services
    visible = await visible_hosts(call)
    now = to_datetime(services.clock.now_us())
    order = Order(kind=query.kind, form=query.format, begin=query.begin, end=query.end or now)
    selection = Selection(hosts=query.host, groups=query.group, items=query.item, visible=visible)
    with services.transfers.one_more():
        items = await select_items(services.database, selection)
        pieces = export(services.database, items, order)
        try:
            first = await anext(pieces)
        except FormUnknown as error:
            raise _unfit(error) from error
        answer = web.StreamResponse(headers={"Content-Type": MEDIA[query.format]})
        answer.headers["Content-Disposition"] = f'attachment; filename="{query.kind}.{query.format}"'
        answer.enable_compression()  # as the request's Accept-Encoding allows
        await answer.prepare(call.request)
        await _send(answer, first)
        try:
            async for piece in _while_allowed(call, pieces):
                await _send(answer, piece)
        except (StoreError, _NotAllowedAnyMore) as error:
            # The head is gone: only a broken connection still tells that this is not the whole file.
            log.warning("an export broke off", extra={"by": call.user, "error": str(error)})
            if call.request.transport is not None:
                call.request.transport.abort()
            raise ConnectionResetError(str(error)) from error
        await answer.write_eof()
    return answer


class _NotAllowedAnyMore(Exception):
    pass


async def _while_allowed(call: Call, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces; look every ten seconds whether who asked still may see what he might at the beginning."""
    loop = asyncio.get_running_loop()
    checked_at = loop.time()
    async for piece in pieces:
        if loop.time() - checked_at >= CHECK_SECONDS:
            visitor = await visitor_of(call.request, call.services)
            if visitor is None or not reaches(visitor, Role.VIEWER) or call.visitor is None:
                raise _NotAllowedAnyMore("its session or token is over")
            if visitor.groups != call.visitor.groups:
                raise _NotAllowedAnyMore("the visitor's host groups have changed")
            checked_at = loop.time()
        yield piece


async def _send(answer: web.StreamResponse, piece: bytes) -> None:
    for begin in range(0, len(piece), _PIECE_BYTES):
        async with asyncio.timeout(_PIECE_SECONDS):
            await answer.write(piece[begin : begin + _PIECE_BYTES])


@endpoint(
    "POST",
    "/history/import",
    role=Role.ADMINISTRATOR,
    timeout_seconds=None,
    failures=(413, 422),
    takes=tuple(MEDIA.values()),
)
async def take_history(call: Call, query: ImportQuery) -> ImportView:
    """Store a file of samples or trends: all of it or, with any fault, nothing; twice is as good as once.

    What was measured is not overwritten, missing hosts and items are made, and no problem is opened.
    """
    services = call.services
    with services.transfers.one_more(), tempfile.TemporaryFile() as spooled:
        stream = cast("BinaryIO", spooled)
        await _receive(call.request, stream)
        stream.seek(0)
        wanted = Import(
            stream=stream,
            name=f"request.{query.format}",
            form=query.format,
            by=call.user,
            address=call.address,
            visible=await visible_hosts(call),
        )
        try:
            imported = await import_history(services.database, wanted, services.clock)
        except FormUnknown as error:
            raise _unfit(error) from error
        except ImportBrokenOff as error:
            raise ApiError(
                503,
                "import_broken_off",
                str(error),
                remedy="Send the same file again: what is stored stays, and is not stored twice.",
                headers={"Retry-After": "30"},
            ) from error
    if imported.fault_count:
        raise ApiError(
            422,
            "rows_wrong",
            f"{imported.fault_count} faults; nothing was stored. The first: {imported.faults[0]}",
            remedy="Mend the file; `errors` has the first faults, each with its line, column and remedy.",
            details=[
                {"file": f.file, "line": f.line, "column": f.column, "message": f.message, "remedy": f.remedy}
                for f in imported.faults
            ],
        )
    return ImportView(
        rows=imported.rows, stored=imported.stored, known=imported.known, too_old=imported.too_old,
        ahead=imported.ahead, hosts_made=imported.hosts_made, items_made=imported.items_made,
    )  # fmt: skip


async def _receive(request: web.Request, spooled: BinaryIO) -> None:
    """Put the body on the disk, unpacked by its Content-Encoding. Raises ApiError 413."""
    size = 0
    try:
        while True:
            async with asyncio.timeout(_PIECE_SECONDS):
                piece = await request.content.read(_PIECE_BYTES)
            if not piece:
                return
            size += len(piece)
            if size > MAX_IMPORT_BYTES:
                raise ApiError(
                    413,
                    "too_large",
                    f"The file is larger than {MAX_IMPORT_BYTES >> 20} MiB, unpacked.",
                    remedy="Send it in parts, or use `watchkeep history import` on the server.",
                )
            await asyncio.to_thread(spooled.write, piece)
    except TimeoutError as error:
        raise ApiError(
            400, "bad_request", f"Nothing of the body came for {_PIECE_SECONDS:g} s.", remedy="Send it again."
        ) from error


def _unfit(error: FormUnknown) -> ApiError:
    return ApiError(400, "invalid", f"query format: {error}", remedy="Ask for csv or jsonl.")


ENDPOINTS = (export_history, take_history)
