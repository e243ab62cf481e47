"""The gap ledger: how every record of every source ended, and where in time records are missing."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Literal

from pydantic import Field

from server.api.endpoint import Answer, Asked, Call, Role, endpoint
from server.api.errors import ApiError, not_found
from server.api.history import MAX_RANGE, Instant
from server.api.hosts import HostPath
from server.api.items import ItemId
from server.api.scope import require_host, require_unrestricted, visible_hosts
from server.store.database import Connection
from server.store.gap_ledger import (
    Life,
    SourceName,
    Stretch,
    read_lives,
    read_reasons,
    read_sources_of_host,
    read_sources_of_items,
    read_totals,
)
from server.store.instants import to_datetime, to_us
from server.store.inventory import read_items
from server.store.overview import read_host_rows

MOST_GAPS = 200
MOST_LIVES = 500
_EVER = datetime(1970, 1, 1, tzinfo=UTC)

Fate = Literal["lost", "refused", "open"]
REASONS: dict[str, str] = {
    "lost": "Its source dropped them: its disk or its spool was full, or damaged.",
    "refused": "Their samples lay in the future, or before all that is kept.",
    "open": "Not here yet: on their way, or missing.",
}


class Counts(Answer):
    """Records by class; together they are all that was ever issued. `open` ones have not ended yet."""

    in_time: int
    late: int = Field(description="Stored, with values not newer than what triggers had evaluated.")
    replayed: int = Field(description="Stored more than a minute after they were measured.")
    lost: int
    refused: int
    open: int


class GapView(Answer):
    """Records that are not stored: numbers `first` to `last`, made after and before these instants of stored ones."""

    fate: Fate
    first: int
    last: int
    after: datetime | None
    before: datetime | None
    reason: str


class LifeView(Answer):
    """One life of a source. `gaps` are the newest ones; `more_gaps` says how many others there are."""

    boot: str
    begun_at: datetime
    heard_at: datetime
    is_closed: bool
    last_number: int
    counts: Counts
    gaps: list[GapView]
    more_gaps: int


class SourceView(Answer):
    """A source that speaks of the host, with its lives, the newest first."""

    name: str
    is_own: bool = Field(description="False: a proxy that polls this host among others.")
    lives: list[LifeView]


class HostLedger(Answer):
    """How all that was ever measured of a host ended."""

    sources: list[SourceView]


class LedgerQuery(Asked):
    """How far back."""

    lives: int = Field(10, ge=1, le=100, description="At most so many lives of each source.")


class TotalsView(Answer):
    """A source's whole account. `missing`: open numbers of lives that ended over an hour ago."""

    source: str
    host: str | None
    lives: int
    heard_at: datetime
    counts: Counts
    missing: int
    adds_up: bool


class Totals(Answer):
    """Every source that was ever heard, by name."""

    sources: list[TotalsView]


class GapQuery(Asked):
    """Which items, which range."""

    item: Annotated[list[ItemId], Field(min_length=1, max_length=20, description="An item's id; up to 20 times.")]
    begin: Instant = Field(alias="from", description="Begin of the range, with its offset from UTC.")
    end: Instant = Field(alias="to", description="End of the range.")


class ItemGap(Answer):
    """A time in which records of the items' sources are missing, in ms since 1970, cut to the range asked for."""

    fate: Fate
    source: str
    begin: int
    end: int
    records: int


class ItemGaps(Answer):
    """The missing times by begin; at most two hundred, the newest."""

    gaps: list[ItemGap]


@endpoint("GET", "/hosts/{name}/ledger", role=Role.VIEWER)
async def show_host_ledger(call: Call, path: HostPath, query: LedgerQuery) -> HostLedger:
    """Show how the records of a host's sources ended, by life, and where some are missing."""
    await require_host(call, path.name)
    async with call.services.database.connection() as connection:
        rows = await read_host_rows(connection, name=path.name)
        if not rows:
            raise not_found("host", path.name)
        views = []
        for source in await read_sources_of_host(connection, rows[0].id):
            lives = await read_lives(connection, [source.id], since=_EVER, limit=query.lives)
            shown = [await _view(connection, source, life) for life in lives]
            views.append(SourceView(name=source.name, is_own=source.is_host, lives=shown))
    return HostLedger(sources=[view for view in views if view.lives])


@endpoint("GET", "/ledger", role=Role.OPERATOR)
async def show_ledger(call: Call) -> Totals:
    """Show every source's account: how many of its records ended how."""
    require_unrestricted(call)
    async with call.services.database.connection() as connection:
        found = await read_totals(connection)
    return Totals(
        sources=[
            TotalsView(
                source=each.name,
                host=each.host,
                lives=each.lives,
                heard_at=each.heard_at,
                counts=Counts(
                    in_time=each.in_time,
                    late=each.late,
                    replayed=each.replayed,
                    lost=each.lost,
                    refused=each.refused,
                    open=each.open,
                ),
                missing=each.missing,
                adds_up=not each.wrong_lives,
            )
            for each in found
        ]
    )


@endpoint("GET", "/gaps", role=Role.VIEWER, failures=(404,))
async def show_gaps(call: Call, query: GapQuery) -> ItemGaps:
    """Show in which times of a range records that may speak of the items are missing, and what became of them."""
    if not timedelta() < query.end - query.begin <= MAX_RANGE:
        raise ApiError(
            400,
            "invalid",
            "query from, to: the range has to end after it begins, within ten years",
            remedy="Exchange `from` and `to`, or ask for a shorter range.",
        )
    visible = await visible_hosts(call)
    async with call.services.database.connection() as connection:
        declared = await read_items(connection, query.item)
        known = {item.id for item in declared if visible is None or item.host in visible}
        for item_id in query.item:
            if item_id not in known:
                raise not_found("item", item_id)
        sources = {source.id: source for source in await read_sources_of_items(connection, query.item)}
        lives = await read_lives(connection, sources.keys(), since=query.begin, limit=MOST_LIVES)
    gaps = [
        ItemGap(
            fate=stretch.fate, source=sources[life.source_id].name, begin=span[0], end=span[1], records=_size(stretch)
        )
        for life in lives
        for stretch in life.stretches
        if (span := _span(stretch, to_us(query.begin), to_us(query.end))) is not None
    ]
    gaps.sort(key=lambda gap: gap.begin)
    return ItemGaps(gaps=gaps[-MOST_GAPS:])


async def _view(connection: Connection, source: SourceName, life: Life) -> LifeView:
    row = life.received
    open_count = sum(_size(stretch) for stretch in life.stretches if stretch.fate == "open")
    reasons = await read_reasons(connection, source.uuid, life.boot) if row.refused else {}
    newest = life.stretches[-MOST_GAPS:]
    return LifeView(
        # A boot has 63 bits, more than a number in JavaScript holds.
        boot=f"{life.boot:016x}",
        begun_at=life.first_at,
        heard_at=life.heard_at,
        is_closed=row.last_number is not None,
        last_number=row.ranges.count + row.lost.count + row.refused.count + open_count,
        counts=Counts(
            in_time=row.ranges.count - row.late - row.replayed,
            late=row.late,
            replayed=row.replayed,
            lost=row.lost.count,
            refused=row.refused.count,
            open=open_count,
        ),
        gaps=[
            GapView(
                fate=stretch.fate,
                first=stretch.first,
                last=stretch.last,
                after=None if stretch.after_us is None else to_datetime(stretch.after_us),
                before=None if stretch.before_us is None else to_datetime(stretch.before_us),
                reason=_reason(stretch, reasons),
            )
            for stretch in newest
        ],
        more_gaps=len(life.stretches) - len(newest),
    )


def _reason(stretch: Stretch, reasons: dict[int, str]) -> str:
    if stretch.fate != "refused":
        return REASONS[stretch.fate]
    found = (
        reasons[number]
        for number in range(stretch.first, min(stretch.last, stretch.first + 1000) + 1)
        if number in reasons
    )
    told = list(islice(dict.fromkeys(found), 3))
    return "; ".join(told) or REASONS["refused"]


def _size(stretch: Stretch) -> int:
    return stretch.last - stretch.first + 1


def _span(stretch: Stretch, begin_us: int, end_us: int) -> tuple[int, int] | None:
    """Return a stretch's time in ms, cut to the range; None when it lies outside, or nobody knows when it was."""
    known = sorted(at_us for at_us in (stretch.after_us, stretch.before_us) if at_us is not None)
    if not known:
        return None
    # Sorted, because the clock may have been set back in between.
    after_us = begin_us if stretch.after_us is None else known[0]
    before_us = end_us if stretch.before_us is None else known[-1]
    if before_us < begin_us or after_us > end_us:
        return None
    return max(after_us, begin_us) // 1000, min(before_us, end_us) // 1000


ENDPOINTS = (show_host_ledger, show_ledger, show_gaps)
