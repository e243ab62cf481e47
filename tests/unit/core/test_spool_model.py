"""Whatever is done to a spool in whatever order, it holds what a plain dictionary would."""

import shutil
import tempfile
from pathlib import Path
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.model.ranges import RangeSet
from core.model.record import Kind, Origin, pack_dictionary, read_header
from core.spool.scan import records_of
from core.spool.spool import Spool, SpoolFull, SpoolLimits
from tests.support.records import AT, BOOT, OTHER, SOURCE, everything_in, record

LIMITS = SpoolLimits(max_bytes=12_000, segment_bytes=1_200)
SOURCES = st.sampled_from([SOURCE, OTHER])
NUMBERS = st.integers(1, 120)


class SpoolMachine(RuleBasedStateMachine):
    """The model: (source, number) → the record, in the order appended; and which of them are stored or taken."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.spool = Spool.open(self.folder, LIMITS)
        self.held: dict[tuple[bytes, int], bytes] = {}
        self.taken: set[tuple[bytes, int]] = set()
        self.stored: dict[tuple[bytes, int], bytes] = {}
        self.next = {SOURCE: 1, OTHER: 1}

    @initialize()
    def begin(self) -> None:
        for source in (SOURCE, OTHER):
            self.append_one(pack_dictionary(Origin(source, BOOT), self.next[source], 1, [], AT))
            self.next[source] += 1

    def append_one(self, data: bytes) -> None:
        self.spool.append(data)
        for begin, end, _, source, _, number in records_of(data):
            self.held[source, number] = data[begin:end]

    @rule(source=SOURCES, count=st.integers(1, 6), values=st.integers(1, 20))
    def append(self, source: UUID, count: int, values: int) -> None:
        first = self.next[source]
        data = b"".join(record(n, source=source, values=values) for n in range(first, first + count))
        before = self.spool.held_bytes
        try:
            self.append_one(data)
        except SpoolFull:
            assert before + len(data) > LIMITS.max_bytes
            return
        self.next[source] += count

    @rule(source=SOURCES, first=NUMBERS, length=st.integers(0, 40))
    def mark_stored(self, source: UUID, first: int, length: int) -> None:
        self.spool.mark_stored(source.bytes, BOOT, [(first, first + length)])
        for number in range(first, first + length + 1):
            data = self.held.pop((source.bytes, number), None)
            if data is not None:
                self.stored[source.bytes, number] = data

    @rule(source=SOURCES, first=NUMBERS, length=st.integers(0, 40))
    def mark_taken(self, source: UUID, first: int, length: int) -> None:
        self.spool.mark_taken(source.bytes, BOOT, [(first, first + length)])
        self.taken |= {(source.bytes, n) for n in range(first, first + length + 1)} & self.held.keys()

    @rule(wanted=st.integers(1, 6_000))
    def drop(self, wanted: int) -> None:
        before, held_bytes = dict(self.held), self.spool.held_bytes
        lost = {
            (source, n) for source, _, ranges in self.spool.drop(wanted) for a, b in ranges for n in range(a, b + 1)
        }
        left = self.held_in_spool()
        gone = before.keys() - left
        assert lost == gone - self.taken
        assert held_bytes - self.spool.held_bytes >= min(wanted, held_bytes) or not left
        samples_left = [name for name in left if read_header(before[name]).kind is Kind.VALUES]
        control_gone = [name for name in gone if read_header(before[name]).kind is not Kind.VALUES]
        assert not control_gone or not samples_left or wanted > 1_000
        for name in gone:
            self.stored[name] = self.held.pop(name)

    @rule()
    def reopen(self) -> None:
        self.spool.close()
        self.open_again()

    @rule()
    def kill(self) -> None:
        """Nothing is flushed or closed properly: what a killed process leaves."""
        self.copy_aside()
        self.open_again()

    @precondition(lambda self: self.newest_file() is not None)
    @rule(cut=st.integers(1, 400))
    def crash_with_a_cut_tail(self, cut: int) -> None:
        self.copy_aside()
        path = self.newest_file()
        assert path is not None
        size = max(0, path.stat().st_size - cut)
        with path.open("r+b") as file:
            file.truncate(size)
        self.open_again(is_cut=True)

    def newest_file(self) -> Path | None:
        return max(self.folder.glob("*.segment"), default=None)

    def copy_aside(self) -> None:
        fresh = Path(tempfile.mkdtemp())
        shutil.copytree(self.folder, fresh, dirs_exist_ok=True)
        self.spool.close()
        shutil.rmtree(self.folder)
        self.folder = fresh

    def open_again(self, *, is_cut: bool = False) -> None:
        self.spool = Spool.open(self.folder, LIMITS)
        found = self.held_in_spool()
        everything = {**self.stored, **self.held}
        assert found <= everything.keys(), "something nobody appended"
        missing = self.held.keys() - found
        if is_cut:  # only the newest records may be missing
            newest = list(self.held)[len(self.held) - len(missing) :] if missing else []
            assert missing <= set(newest) | {name for name in missing if name[1] >= min(n for _, n in newest)}
        else:
            assert not missing
        # what is still on disk counts as not stored; nothing is known to be taken
        self.held = {name: everything[name] for name in everything if name in found}
        self.stored = {name: data for name, data in self.stored.items() if name not in found}
        self.taken = set()

    def held_in_spool(self) -> set[tuple[bytes, int]]:
        return {(source, n) for (source, _), r in self.spool.unstored().items() for a, b in r for n in range(a, b + 1)}

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert self.held_in_spool() == self.held.keys()
        assert self.spool.held_records == len(self.held)
        assert self.spool.held_bytes == sum(path.stat().st_size for path in self.folder.glob("*.segment"))

    @invariant()
    def reading_gives_every_held_record_as_it_was(self) -> None:
        data = everything_in(self.spool, 700)
        found = {(source, number): data[begin:end] for begin, end, _, source, _, number in records_of(data)}
        assert {name: found.get(name) for name in self.held} == self.held

    @invariant()
    def finding_by_number_gives_the_held_ones(self) -> None:
        wanted = [name for name in self.held if name[0] == SOURCE.bytes and 10 <= name[1] <= 20]
        found = [read_header(data).number for data in self.spool.find(SOURCE.bytes, BOOT, 10, 20)]
        assert RangeSet((n, n) for n in found) == RangeSet((n, n) for _, n in wanted)

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.folder)


TestSpoolAgainstAModel = SpoolMachine.TestCase
TestSpoolAgainstAModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
