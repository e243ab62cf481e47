"""Which records of a spool go next: in one lane, or live ones and a backlog apart.

While the next record in order is not older than a minute there is one lane, in strict order. When it is older, what
lies before the first live record becomes a backlog, reading goes on there, and old records met behind it (a proxy
takes in the backlogs of others) join the backlog. A live record may need a dictionary out of the backlog, so the
records of it that are not samples go ahead of everything. When the backlog is sent there is one lane again.

Invariant: every record held lies in exactly one of: sent, to be sent again, ahead, backlog, or behind the live cursor;
save that a backlog's stretches also cover records that are not samples, which are sent already and left out there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from core.model.record import RecordError
from core.spool.position import Position
from core.spool.scan import dated_records_of, is_control, last_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.model.ranges import RangeSet
    from core.spool.position import Slice
    from core.spool.spool import Spool
    from core.wire.flight import Sent, Stretch

LIVE_US: Final = 60 * 1_000_000
"""Samples that lag at most so much are sent strictly in the spool's order; the server's intake draws the same line."""
MAX_STRETCHES: Final = 4096
"""Of a backlog; old records that would make it more pieces than that stay in the live lane."""
_STRETCHES_A_FRAME: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a frame would carry; nothing has changed until `take` is called.

    `records` may be empty: all was stored. Then nothing is sent, save when it repeats a frame whose number is taken.
    """

    stretches: tuple[Stretch, ...]
    records: bytes
    is_backlog: bool
    take: Callable[[], None]
    is_repeat: bool = False


class Lanes:
    """Reads one spool for one session. Records that lie in it when that begins are sent only if they are not stored.

    All that read may raise SpoolFault.
    """

    def __init__(self, spool: Spool) -> None:
        self.divisions = 0
        self._spool = spool
        self._live = spool.begin
        self._again: deque[Sent] = deque()
        self._ahead: deque[Stretch] = deque()
        self._backlog: deque[Stretch] = deque()
        self._old_until = spool.end
        self._unstored: dict[tuple[bytes, int], RangeSet] = spool.unstored()

    @property
    def is_divided(self) -> bool:
        """Whether there is a backlog beside the live records."""
        return bool(self._backlog)

    def send_again(self, frames: Sequence[Sent]) -> None:
        """Put what was lost before everything else."""
        self._again.extendleft(reversed(frames))

    def first(self, max_bytes: int) -> Draft | None:
        """Return what goes before both lanes: frames to be sent again, then what live records may need."""
        return self._repeat(self._again[0]) if self._again else self._gather(self._ahead, max_bytes)

    def _repeat(self, sent: Sent) -> Draft:
        data: list[bytes] = []
        for begin, until in sent.stretches:
            place = begin
            while (piece := self._spool.read(place, sent.size_bytes, until)) is not None:
                data.append(piece.data)
                place = piece.end
        return Draft(
            stretches=sent.stretches,
            records=b"".join(data),
            is_backlog=sent.is_backlog,
            take=self._again_sent,
            is_repeat=True,
        )

    def _again_sent(self) -> None:
        self._again.popleft()

    def live(self, max_bytes: int, now_us: int) -> Draft | None:
        """Return the next frame of the live lane; None when there is nothing for it.

        An empty one when a backlog was found instead: ask `first` again.
        """
        piece = self._spool.read(self._live, max_bytes)
        if piece is None:
            return None
        live_from = now_us - LIVE_US
        if not self._backlog and _is_old(piece, live_from):
            self._divide(piece.begin, live_from)
            return Draft(stretches=(), records=b"", is_backlog=False, take=lambda: None)
        if self._backlog and len(self._backlog) < MAX_STRETCHES:
            return self._sort(piece, live_from)
        kept = self._unstored_of(piece)
        return self._draft(piece, kept, take=lambda: self._go_on(piece, []))

    def backlog(self, max_bytes: int) -> Draft | None:
        """Return the next frame of the backlog; None when it is at its end."""
        while self._backlog:
            begin, until = self._backlog[0]
            piece = self._spool.read(begin, max_bytes, until)
            if piece is not None:
                kept = self._unstored_of(piece, without_control=True)
                return self._draft(piece, kept, is_backlog=True, take=partial(self._advance, piece.end))
            self._backlog.popleft()
        return None

    def _divide(self, begin: Position, live_from: int) -> None:
        """Make what lies before the present a backlog, and let what is not samples in it go ahead."""
        self._live = self._spool.first_since(live_from, begin)
        self._backlog.append((begin, self._live))
        self._ahead.extend(self._spool.control(begin, self._live))
        self.divisions += 1

    def _sort(self, piece: Slice, live_from: int) -> Draft:
        """Keep what is live, and what is not samples; what is old joins the backlog when the draft is taken."""
        kept: list[tuple[int, int]] = []
        old: list[tuple[int, int]] = []
        try:
            for begin, end, kind, source, boot, number, last_at in dated_records_of(piece.data):
                if not is_control(kind) and last_at < live_from:
                    _add(old, begin, end)
                    continue
                if self._is_wanted(_place(piece, begin), source, boot, number):
                    _add(kept, begin, end)
                if is_control(kind) and old and old[-1][1] == begin:
                    _add(old, begin, end)  # left out there; it only keeps the stretch whole
        except RecordError:  # a fault of the disk: the collector judges it, counts it and saves the rest
            kept, old = [(0, len(piece.data))], []
        deferred = [(_place(piece, begin), _place(piece, end)) for begin, end in old]
        return self._draft(piece, kept, take=lambda: self._go_on(piece, deferred))

    def _go_on(self, piece: Slice, deferred: list[Stretch]) -> None:
        self._live = piece.end
        if deferred and self._backlog and self._backlog[-1][1] == deferred[0][0]:
            deferred[0] = (self._backlog.pop()[0], deferred[0][1])
        self._backlog.extend(deferred)

    def _advance(self, place: Position) -> None:
        """Go on at `place`; whether anything is left of the stretch, only reading tells: its file may be rewritten."""
        self._backlog[0] = (place, self._backlog[0][1])

    def _unstored_of(self, piece: Slice, *, without_control: bool = False) -> list[tuple[int, int]]:
        """Return the parts of the piece that were not stored when the session began, most often all of it.

        What was appended since may lie behind them in the same piece; of that nothing is left out.
        """
        if piece.begin >= self._old_until and not without_control:
            return [(0, len(piece.data))]
        kept: list[tuple[int, int]] = []
        try:
            for begin, end, kind, source, boot, number, _ in dated_records_of(piece.data):
                is_sent_ahead = without_control and is_control(kind)
                if not is_sent_ahead and self._is_wanted(_place(piece, begin), source, boot, number):
                    _add(kept, begin, end)
        except RecordError:
            return [(0, len(piece.data))]
        return kept

    def _is_wanted(self, place: Position, source: bytes, boot: int, number: int) -> bool:
        if place >= self._old_until:
            return True
        unstored = self._unstored.get((source, boot))
        return unstored is not None and number in unstored

    @staticmethod
    def _draft(
        piece: Slice, kept: list[tuple[int, int]], *, take: Callable[[], None], is_backlog: bool = False
    ) -> Draft:
        is_whole = kept == [(0, len(piece.data))]
        return Draft(
            stretches=tuple((_place(piece, begin), _place(piece, end)) for begin, end in kept),
            records=piece.data if is_whole else b"".join(piece.data[begin:end] for begin, end in kept),
            is_backlog=is_backlog,
            take=take,
        )

    def _gather(self, waiting: deque[Stretch], max_bytes: int) -> Draft | None:
        """Return as much of the stretches that wait as fits into a frame."""
        parts: list[Stretch] = []
        data: list[bytes] = []
        room = max_bytes
        done, rest = 0, None
        for begin, until in islice(waiting, _STRETCHES_A_FRAME):
            place = begin
            while (piece := self._spool.read(place, max(room, 1), until)) is not None:
                if len(piece.data) > room and data:
                    break
                for first, last in self._unstored_of(piece):
                    parts.append((_place(piece, first), _place(piece, last)))
                    data.append(piece.data[first:last])
                room -= len(piece.data)
                place = piece.end
            else:
                done += 1
                continue
            rest = (place, until)
            break
        if not done and rest is None:
            return None

        def take() -> None:
            for _ in range(done + (rest is not None)):
                waiting.popleft()
            if rest is not None:
                waiting.appendleft(rest)

        return Draft(stretches=tuple(parts), records=b"".join(data), is_backlog=False, take=take)


def _place(piece: Slice, offset: int) -> Position:
    return Position(piece.begin.segment, piece.begin.offset + offset)


def _add(parts: list[tuple[int, int]], begin: int, end: int) -> None:
    if parts and parts[-1][1] == begin:
        parts[-1] = (parts[-1][0], end)
    else:
        parts.append((begin, end))


def _is_old(piece: Slice, live_from: int) -> bool:
    try:
        return last_instant(piece.data) < live_from
    except RecordError:
        return False
