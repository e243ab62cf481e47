"""The acknowledgement protocol as a state machine: agent → one of two proxies → server, interrupted wherever it can be.

The outbox, the proxies' custody, the server's screening, translation and ledger are the real ones, on real files; only
the wire between them is made here, so that every message can be lost, repeated or overtaken. Killed means: nothing is
closed, what the process knew is gone, what it wrote is there. A power cut takes what was not fsynced, too.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from array import array
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.model.item import ItemDescription
from core.model.ranges import RangeSet
from core.runtime.clock import ManualClock
from core.spool.faults import SpoolFull
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from server.intake.screening import AHEAD_US
from tests.integration.wire.acknowledging import KEYS, Proxy, Server, let_go, names_in, names_of
from tests.unit.server.intake.arrivals import MINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements
    from tests.integration.wire.acknowledging import Name

AGENT_LIMITS: Final = SpoolLimits(max_bytes=12_000, segment_bytes=1_500)
BLOWS: Final = ("nothing", "nothing", "agent", "kill", "power cut", "proxy disk", "other proxy")
WHICH: Final = st.sampled_from((0, 1))


class AcknowledgementMachine(RuleBasedStateMachine):
    """`counters`: what each record's values are, by name; `dropped`: what the agent let go and nobody had."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock()
        self.server = Server(self.clock)
        self.proxies = [Proxy(self.folder / name, self.clock) for name in ("a", "b")]
        self.counters: dict[Name, float] = {}
        self.incredible: set[Name] = set()
        self.issued: set[Name] = set()
        self.dropped: set[Name] = set()
        self.doomed: set[Name] = set()
        self.unnumbered = 0
        self.next = 1
        self.last_acks: list[tuple[AckKind, Acknowledgements]] = []
        self.start_agent()

    # ── the agent ────────────────────────────────────────────────────────────────────────────────────────────
    def start_agent(self) -> None:
        self.outbox = Outbox.open(self.folder / "agent", MINE, AGENT_LIMITS, self.clock)
        self.taken: set[Name] = set()
        self.link: int | None = None
        self.cursor = self.outbox.spool.begin
        self.note_issued()

    def note_issued(self) -> None:
        self.issued |= names_of(
            self.outbox.boot, RangeSet([(1, self.outbox.last_number)]) if self.outbox.last_number else RangeSet()
        )

    @rule(
        count=st.integers(1, 12),
        values=st.sampled_from((1, 40)),
        is_credible=st.sampled_from((True, True, True, False)),
    )
    def measure(self, count: int, values: int, is_credible: bool) -> None:
        for _ in range(count):
            held = names_in(self.outbox.spool)
            at = self.clock.now_us() + (0 if is_credible else 2 * AHEAD_US)
            value, self.next = float(self.next), self.next + 1
            try:
                items = array("I", self.outbox.describe([ItemDescription(key="a")]) * values)
                number = self.outbox.publish(items, [at] * values, array("d", [value] * values))
            except SpoolFull:
                self.unnumbered += 1
            else:
                self.counters[self.outbox.boot, number] = value
                if not is_credible:
                    self.incredible.add((self.outbox.boot, number))
            self.note_issued()
            gone = held - names_in(self.outbox.spool)
            self.dropped |= gone - self.taken
            self.doom(gone & self.taken)

    @rule(is_clean=st.booleans())
    def restart_agent(self, is_clean: bool) -> None:
        if is_clean:
            self.outbox.close()
            self.note_issued()
        else:
            let_go(self.outbox.spool)
        self.start_agent()

    @rule(which=WHICH)
    def connect(self, which: int) -> None:
        """A new session: whatever the last one had still to say is lost with it."""
        self.link = which
        custody = self.proxies[which].custody
        self.proxies[which].said.clear()
        for boot, _, _ in self.outbox.held_boots():
            _, stored = custody.known(MINE.bytes, boot)
            self.outbox.spool.mark_stored(MINE.bytes, boot, stored)
        seen = [(boot, *custody.known(MINE.bytes, boot)[0]) for boot, _, _ in self.outbox.held_boots()]
        assert not self.outbox.settle(seen), "nobody went back to a snapshot"
        self.cursor = self.outbox.spool.begin

    @precondition(lambda self: self.link is not None)
    @rule(size=st.sampled_from((200, 1500, 6000)))
    def carry(self, size: int) -> None:
        """A frame gets from the agent to its proxy, if that has room."""
        assert self.link is not None
        piece = self.outbox.spool.read(self.cursor, size)
        proxy = self.proxies[self.link]
        if piece is None or not proxy.spool.has_room(len(piece.data)):
            return
        self.loop.run_until_complete(proxy.custody.take(piece.data))
        self.cursor = piece.end

    @precondition(lambda self: self.link is not None and self.proxies[self.link].said)
    @rule()
    def hear(self) -> None:
        assert self.link is not None
        kind, acks = self.proxies[self.link].said.pop(0)
        self.last_acks.append((kind, acks))
        self.obey(kind, acks)

    @precondition(lambda self: self.last_acks)
    @rule(data=st.data())
    def hear_again(self, data: st.DataObject) -> None:
        """An acknowledgement of any earlier time says nothing new: it says the truth for ever."""
        known = [each for each in self.last_acks if each[0] != "taken"]
        if known:
            kind, acks = data.draw(st.sampled_from(known))
            self.obey(kind, acks)

    def obey(self, kind: AckKind, acks: Acknowledgements) -> None:
        for (source, boot), ranges in acks.items():
            names = names_of(boot, RangeSet(ranges))
            if kind == "taken":
                self.outbox.spool.mark_taken(source, boot, ranges)
                self.taken |= names & names_in(self.outbox.spool)
            else:
                assert all(self.server.ended(name) for name in names), "said stored, and it is not"
                self.outbox.spool.mark_stored(source, boot, ranges)

    # ── the proxies ──────────────────────────────────────────────────────────────────────────────────────────
    @rule(which=WHICH)
    def sync(self, which: int) -> None:
        self.loop.run_until_complete(self.proxies[which].sync())

    @rule(which=WHICH, end=st.sampled_from(("kill", "power cut")))
    def restart_proxy(self, which: int, end: str) -> None:
        proxy = self.proxies[which]
        before = names_in(proxy.spool)
        promised = before & proxy.promised if end == "power cut" else before
        proxy.end(is_power_cut=end == "power cut")
        proxy.open()
        if self.link == which:
            self.link = None
        assert names_in(proxy.spool) >= promised, "what is said to be taken outlives a power cut"
        self.doom(before)

    @rule(which=WHICH)
    def lose_disk(self, which: int) -> None:
        proxy = self.proxies[which]
        before = names_in(proxy.spool)
        proxy.end()
        shutil.rmtree(proxy.folder)
        proxy.open()
        if self.link == which:
            self.link = None
        self.doom(before)

    def doom(self, gone: set[Name]) -> None:
        """Note what nobody has any more: the agent let it go because a proxy had said that it is safe there."""
        left = set.union(names_in(self.outbox.spool), *(names_in(proxy.spool) for proxy in self.proxies))
        self.doomed |= {name for name in gone - left if not self.server.ended(name)} - self.dropped

    # ── the server ───────────────────────────────────────────────────────────────────────────────────────────
    @rule(
        which=WHICH,
        size=st.sampled_from((300, 4000)),
        fate=st.sampled_from(("stored", "stored", "rolled back", "unheard")),
    )
    def forward(self, which: int, size: int, fate: str) -> None:
        """A frame gets from a proxy into a transaction; `unheard`: committed, and the acknowledgement is lost."""
        proxy = self.proxies[which]
        piece = proxy.spool.read(proxy.cursor, size)
        if piece is None:
            return
        acks = self.server.ingest(KEYS[which], piece.data, commits=fate != "rolled back")
        if fate == "stored":
            proxy.cursor = piece.end
            proxy.settle(acks)
        else:
            proxy.cursor = proxy.spool.begin  # the session is over; the next begins with all that is not known stored

    @rule(which=WHICH)
    def begin_again(self, which: int) -> None:
        self.proxies[which].cursor = self.proxies[which].spool.begin

    # ── all of it, as far as it comes ────────────────────────────────────────────────────────────────────────
    @rule(
        which=WHICH,
        count=st.integers(1, 12),
        stages=st.integers(1, 5),
        commit=st.sampled_from(("stored", "stored", "unheard")),
        blow=st.sampled_from(BLOWS),
    )
    def flow(self, which: int, count: int, stages: int, commit: str, blow: str) -> None:
        """Measure, and take everything so many stages further, until something happens at that very transition."""
        self.measure(count, 40, is_credible=True)
        if self.link != which:
            self.connect(which)
        way: tuple[Callable[[], None], ...] = (
            partial(self.often, partial(self.carry, 1500)),
            partial(self.sync, which),
            partial(self.often, self.hear_if_said),
            partial(self.often, partial(self.forward, which, 1500, commit)),
            partial(self.often, self.hear_if_said),
        )
        for stage in way[:stages]:
            stage()
        if blow == "agent":
            self.restart_agent(is_clean=False)
        elif blow == "proxy disk":
            self.lose_disk(which)
        elif blow in ("kill", "power cut"):
            self.restart_proxy(which, blow)
        elif blow == "other proxy":
            self.connect(1 - which)

    def often(self, step: Callable[[], None]) -> None:
        for _ in range(12):
            step()

    def hear_if_said(self) -> None:
        if self.link is not None and self.proxies[self.link].said:
            self.hear()

    # ── what always holds ────────────────────────────────────────────────────────────────────────────────────
    @invariant()
    def whatever_was_appended_is_somewhere_or_was_let_go_for_want_of_room(self) -> None:
        held = set.union(names_in(self.outbox.spool), *(names_in(proxy.spool) for proxy in self.proxies))
        nowhere = {name for name in self.counters.keys() - held if not self.server.ended(name)}
        assert nowhere <= self.dropped | self.doomed, nowhere - self.dropped - self.doomed

    @invariant()
    def what_is_stored_is_what_was_measured(self) -> None:
        for name, value in self.server.rows.items():
            assert self.counters.get(name) == value

    @invariant()
    def the_ledger_counts_every_number_once(self) -> None:
        for boot in {boot for boot, _ in self.issued}:
            account = self.server.ledger.account((1, boot))
            assert account.highest == sum(
                ranges.count for ranges in (account.stored, account.lost, account.refused, account.open)
            )

    def teardown(self) -> None:
        """Let everything get through: now the ledger says of every number of every life what became of it."""
        try:
            self.deliver()
            self.outbox.close()
            self.note_issued()
            ended = {boot for boot, _ in self.issued}
            self.start_agent()
            self.deliver()
            for boot in ended:
                self.judge(boot)
        finally:
            let_go(self.outbox.spool)
            for proxy in self.proxies:
                let_go(proxy.spool)
            shutil.rmtree(self.folder)
            self.loop.close()

    def deliver(self) -> None:
        for _ in range(200):
            self.connect(0)
            for _ in range(20):
                self.carry(6000)
                self.sync(0)
                for which in (0, 1):
                    self.begin_again(which)
                    for _ in range(10):
                        self.forward(which, 4000, "stored")
                while self.proxies[0].said:
                    self.hear()
                self.cursor = self.outbox.spool.begin
                if not self.outbox.spool.held_records:
                    return
        raise AssertionError(f"never delivered: {names_in(self.outbox.spool)}")

    def judge(self, boot: int) -> None:
        """Every number of a closed life: stored, refused, LOST exactly where it was dropped, open only where doomed."""
        account = self.server.ledger.account((1, boot))
        stored, lost = names_of(boot, account.stored), names_of(boot, account.lost)
        refused, missing = names_of(boot, account.refused), names_of(boot, account.open)
        own = {name for name in self.issued if name[0] == boot}
        assert stored | lost | refused | missing == own
        assert account.highest == len(stored) + len(lost) + len(refused) + len(missing)
        assert missing <= self.doomed
        unnumbered = {name for name in own if name not in self.counters} & lost - self.dropped
        assert lost - unnumbered <= self.dropped, "LOST is said of nothing that was not dropped"
        assert len(unnumbered) <= self.unnumbered
        assert {name for name in self.dropped if name[0] == boot} <= stored | refused | lost, "and of all that was"
        measured = {name for name in self.counters if name[0] == boot}
        assert refused <= self.incredible
        assert measured - stored == measured & (lost | refused | missing)


AcknowledgementMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestAcknowledgements = AcknowledgementMachine.TestCase
