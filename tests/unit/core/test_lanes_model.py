"""Whatever happens to a stream, every record held arrives, each once in a session, live ones soon.

The collector is one of our protocol in miniature: it reads frames in order, asks for a missing one again, gives credit,
and tells after a while what is stored.
"""

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from core.model.record import Origin, pack_dictionary
from core.spool.spool import Spool, SpoolFull, SpoolLimits
from tests.support.records import BOOT, OTHER, SOURCE, record
from tests.support.streaming import MovedClock, Name, Sending, names_in

LIMITS = SpoolLimits(max_bytes=48_000, segment_bytes=4_000)
WINDOW = 3_000
SOURCES = st.sampled_from([SOURCE, OTHER])
LIVE_US = 60_000_000


@dataclass
class Item:
    """A record as the model knows it. `passed_bytes`: of the backlog, sent since it was appended and before it was."""

    name: Name
    size: int
    at: int
    is_control: bool
    needs: set[Name]
    is_watched: bool = False
    passed_bytes: int = 0
    frames_before: int = 0
    """How many frames may rightly go before it: of what was there when it was appended, and what was lost since."""


class StreamMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = MovedClock()
        self.spool = Spool.open(self.folder, LIMITS, self.clock.monotonic)
        self.items: dict[Name, Item] = {}
        self.held: dict[Name, Item] = {}
        """Appended, neither dropped nor known stored, in the order appended."""
        self.next = {SOURCE: 1, OTHER: 1}
        self.dictionaries: dict[UUID, set[Name]] = {SOURCE: set(), OTHER: set()}
        self.received: set[Name] = set()
        self.dropped: set[Name] = set()
        self.begin_session()
        for source in (SOURCE, OTHER):
            self.append_dictionary(source)
        self.begin_session()

    # ── What the source does ─────────────────────────────────────────────────────────────────────────────────
    def append_one(self, source: UUID, data: bytes, at: int, *, is_control: bool) -> None:
        with suppress(SpoolFull):
            self.spool.append(data)
            name = (source.bytes, BOOT, self.next[source])
            self.next[source] += 1
            item = Item(name, len(data), at, is_control, set(self.dictionaries[source]))
            item.is_watched = not is_control and self.has_backlog() and at == self.clock.now_us()
            item.frames_before = sum(1 for each in self.held.values() if self.is_ahead(each))
            self.items[name] = self.held[name] = item
            if is_control:
                self.dictionaries[source].add(name)

    @rule(source=SOURCES)
    def append_dictionary(self, source: UUID) -> None:
        number = self.next[source]
        version = len(self.dictionaries[source]) + 1
        data = pack_dictionary(Origin(source, BOOT), number, version, [], self.clock.now_us())
        self.append_one(source, data, self.clock.now_us(), is_control=True)

    @rule(source=SOURCES, count=st.integers(1, 5), values=st.integers(1, 20))
    def append_live(self, source: UUID, count: int, values: int) -> None:
        for _ in range(count):
            at = self.clock.now_us()
            self.append_one(
                source, record(self.next[source], source=source, values=values, at=at), at, is_control=False
            )

    @rule(source=SOURCES, count=st.integers(10, 40), minutes=st.integers(2, 600))
    def come_back(self, source: UUID, count: int, minutes: int) -> None:
        """After an outage: a session begins over a backlog, whose oldest record shows at once."""
        self.append_old(source, count, minutes)
        self.append_dictionary(source)
        self.append_live(source, 1, 3)
        self.begin_session()
        self.send(1)

    @rule(source=SOURCES, count=st.integers(5, 20), minutes=st.integers(2, 600))
    def append_old(self, source: UUID, count: int, minutes: int) -> None:
        """What was measured long ago: of an outage before this session, or handed over now by another source."""
        for _ in range(count):
            at = self.clock.now_us() - minutes * LIVE_US
            self.append_one(source, record(self.next[source], source=source, values=20, at=at), at, is_control=False)

    @rule(seconds=st.sampled_from([0.1, 10.0, 70.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(wanted=st.integers(1, 8_000))
    def drop(self, wanted: int) -> None:
        for source, boot, ranges in self.spool.drop(wanted):
            gone = {(source, boot, number) for first, last in ranges for number in range(first, last + 1)}
            self.dropped |= gone
        self.forget(self.dropped)

    def forget(self, names: set[Name]) -> None:
        self.held = {name: item for name, item in self.held.items() if name not in names}

    # ── The session ──────────────────────────────────────────────────────────────────────────────────────────
    @rule()
    def begin_session(self) -> None:
        """Whatever is under way is gone; the welcome told what is stored, which is marked in the spool."""
        self.sending = Sending(self.spool, self.clock, WINDOW)
        self.session_sent: set[Name] = set()
        self.session_read: set[Name] = set()
        self.lane: dict[Name, bool] = {}
        self.last_read: dict[tuple[bytes, bool], int] = {}
        self.read_frame = 0
        self.is_gap = False
        for item in self.held.values():
            item.is_watched = False

    def is_old(self, item: Item) -> bool:
        return item.at < self.clock.now_us() - LIVE_US

    def is_ahead(self, item: Item) -> bool:
        """Whether a record not sent yet may rightly go before one that is appended now: a frame each at most."""
        return item.name not in self.session_sent and (item.is_control or not self.is_old(item))

    def has_backlog(self) -> bool:
        return self.sending.stream.flight.last_frame > 0 and any(
            self.is_old(item) and item.name not in self.session_sent for item in self.held.values()
        )

    @rule(frames=st.integers(1, 6))
    def send(self, frames: int) -> None:
        for _ in range(frames):
            frame = self.sending.step()
            if frame is None:
                return
            self.note_sent(names_in(frame[1]))

    def note_sent(self, names: list[Name]) -> None:
        is_backlog = self.sending.stream.flight._sent[-1].is_backlog
        fresh = [name for name in names if name not in self.session_sent]
        old_bytes = sum(self.items[name].size for name in fresh if self.is_old(self.items[name]))
        for name in fresh:
            self.lane[name] = is_backlog
        self.session_sent.update(fresh)
        for item in self.held.values():
            if item.name in self.session_sent or self.is_old(item):
                item.is_watched = False
            elif item.is_watched:
                item.passed_bytes += old_bytes
                # A frame of one lane, which what came with it may fill, then the backlog's share.
                allowed = WINDOW + WINDOW / 8 * (2 + item.frames_before / 8)
                assert item.passed_bytes <= allowed, f"{item.name} waits behind {item.passed_bytes} bytes of a backlog"

    @precondition(lambda self: self.sending.pipe.frames)
    @rule(count=st.integers(1, 6), is_lost=st.booleans())
    def read(self, count: int, is_lost: bool) -> None:
        """The collector reads what is under way; the first of it may be lost, which the next one shows."""
        frames, self.sending.pipe.frames = self.sending.pipe.frames[:count], self.sending.pipe.frames[count:]
        for number, records in frames[1:] if is_lost else frames:
            if number == self.read_frame + 1:
                self.read_frame = number
                self.take(records)
            else:
                self.is_gap = self.is_gap or number > self.read_frame
        if self.is_gap:
            self.ask_again()

    def take(self, records: bytes) -> None:
        for name in names_in(records):
            item = self.items[name]
            assert name not in self.session_read, f"{name} came twice in one session"
            self.session_read.add(name)
            self.received.add(name)
            place = (name[0], self.lane[name])
            assert name[2] > self.last_read.get(place, 0), f"{name} came out of order in its lane"
            self.last_read[place] = name[2]
            missing = item.needs - self.received - self.dropped
            assert item.is_control or not missing, f"{name} came before {missing}, which it needs"

    @rule(window=st.sampled_from([WINDOW, WINDOW, 1_500, 0]))
    def receipt(self, window: int) -> None:
        self.sending.stream.receipt(self.read_frame, window)

    @rule(rounds=st.integers(2, 6))
    def flow(self, rounds: int) -> None:
        """Nothing goes wrong for a while."""
        for _ in range(rounds):
            self.send(3)
            if self.sending.pipe.frames:
                self.read(3, is_lost=False)
            self.receipt(WINDOW)

    @rule()
    def ask_again(self) -> None:
        """Because of a gap, or because a heartbeat announced a frame that is nowhere."""
        is_tail_lost = not self.sending.pipe.frames and self.sending.stream.flight.last_frame > self.read_frame
        if self.is_gap or is_tail_lost:
            self.is_gap = False
            self.clock.move(1.0)
            self.sending.stream.receipt(self.read_frame, WINDOW)
            lost_bytes = self.sending.stream.flight.in_flight_bytes
            self.sending.stream.again(self.read_frame + 1)
            for item in self.held.values():
                item.frames_before += lost_bytes // 100  # each a record at least

    @rule()
    def say_stored(self) -> None:
        for source, boot, number in self.received:
            self.spool.mark_stored(source, boot, [(number, number)])
        self.forget(self.received)

    @rule()
    def settle(self) -> None:
        """Undisturbed, everything held arrives; whatever may be wrong with the lanes, it comes out here."""
        for _ in range(10_000):
            self.send(100)
            if not self.sending.pipe.frames and self.read_frame == self.sending.stream.flight.last_frame:
                self.receipt(WINDOW)
                if self.sending.step() is None:
                    break
                self.note_sent(names_in(self.sending.pipe.frames[-1][1]))
            elif self.sending.pipe.frames:
                self.read(100, is_lost=False)
            self.ask_again()
            self.receipt(WINDOW)
        else:
            raise AssertionError("it never ends")
        assert self.held.keys() <= self.received, "something held never came"

    def teardown(self) -> None:
        self.settle()
        self.spool.close()
        shutil.rmtree(self.folder)


TestStreamAgainstAModel = StreamMachine.TestCase
TestStreamAgainstAModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
