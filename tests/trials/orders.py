"""What the sources under trial do on order, besides counting: freeze their state, come back from it, publish poison.

An order is a file `order.json` beside the plan's data, read at SIGUSR2; `done.json` tells when it is carried out.
"""

from __future__ import annotations

import json
import shutil
from array import array
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from core.model.record import (
    HEADER,
    HEADER_BYTES,
    ItemEntry,
    Origin,
    pack_dictionary,
    pack_texts,
    pack_values,
    renumber,
)
from core.spool.item_book import FILE_NAME, ItemBook
from core.spool.outbox import Outbox
from core.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from core.runtime.clock import Clock
    from core.spool.spool import SpoolLimits

UNKNOWN_ITEM: Final = 3_000_000
_SPAN_FIELD: Final = 9


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a running outbox has in memory, as a virtual machine's snapshot keeps it; its disk lies beside it."""

    boot: int
    last_number: int
    dictionary_version: int


def take_snapshot(outbox: Outbox, folder: Path) -> None:
    """Copy disk and memory of an outbox to `folder`; nothing is appended meanwhile, for this does not wait."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(outbox.spool.folder, folder / "spool")
    memory = Snapshot(
        boot=outbox.boot, last_number=outbox.last_number, dictionary_version=outbox.dictionary_version
    )  # fmt: skip
    (folder / "memory.json").write_text(json.dumps(asdict(memory)))


def wake_from_snapshot(spool_folder: Path, folder: Path, source: UUID, limits: SpoolLimits, clock: Clock) -> Outbox:
    """Put the disk back and return the outbox as it was then, in the same life: what a machine rolled back does."""
    shutil.rmtree(spool_folder)
    shutil.copytree(folder / "spool", spool_folder)
    memory = Snapshot(**json.loads((folder / "memory.json").read_text()))
    spool = Spool.open(spool_folder, limits, clock.monotonic)
    for (owner, boot), ranges in spool.unstored().items():
        spool.mark_stored(owner, boot, ranges)  # all was stored when the snapshot was taken, and memory knew
    outbox = Outbox(source, spool, ItemBook(spool_folder / FILE_NAME), clock)
    outbox.boot = memory.boot
    outbox.last_number = memory.last_number
    outbox.dictionary_version = memory.dictionary_version
    outbox._has_begun = True
    outbox._old_boots.pop(memory.boot, None)
    return outbox


def publish_poison(outbox: Outbox, now_us: int, known_item: int) -> list[int]:
    """Append records of valid form whose content cannot be stored; return their numbers."""
    numbers = []
    for record in _poison(Origin(outbox.source, outbox.boot), outbox, now_us, known_item):
        outbox.spool.append(record)
        outbox.last_number += 1
        numbers.append(outbox.last_number)
    return numbers


def _poison(origin: Origin, outbox: Outbox, now_us: int, item: int) -> Iterator[bytes]:
    """Yield the records one by one: each is numbered as it is made."""
    version = outbox.dictionary_version

    def number() -> int:
        return outbox.last_number + 1

    def dictionary(**facts: Any) -> bytes:
        # An older version, so that no neighbour waits for what this one would have said.
        return pack_dictionary(origin, number(), version, [ItemEntry(number=UNKNOWN_ITEM, **facts)], now_us)

    yield pack_values(origin, number(), version, array("I", [UNKNOWN_ITEM]), [now_us], array("d", [1.0]))
    yield dictionary(key="trial.rubbish", type="rubbish")
    yield dictionary(key="trial.\0")
    yield dictionary(key="")
    yield dictionary(key="trial." + "".join(chr(0x4E00 + place % 20_000) for place in range(20_000)))
    yield pack_texts(origin, number(), version, [UNKNOWN_ITEM], [now_us], ["text of nothing known"])
    # A sample outside the span its header gives: the header is changed and sealed anew.
    record = pack_values(origin, number(), version, array("I", [item] * 2), [now_us - 10, now_us], array("d", [1, 2]))
    fields = list(HEADER.unpack_from(record))
    fields[_SPAN_FIELD] = 5
    yield renumber(HEADER.pack(*fields) + record[HEADER_BYTES:], origin.boot, number())
