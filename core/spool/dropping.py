"""Which files of a full spool go, and what is lost with them. Decides only; nothing is deleted here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.model.ranges import RangeSet
from core.spool.scan import is_control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.spool.position import Key
    from core.spool.segment import Segment


@dataclass(slots=True)
class DropPlan:
    """Files to compact (samples go, dictionaries, lost ranges and closings stay) and files to delete.

    `lost` are the numbers that then nobody is known to have: neither stored, nor taken by a proxy, nor held elsewhere
    in the spool. `deleted_control` are dictionaries, closings and lost ranges that go all the same.
    """

    compact: list[Segment] = field(default_factory=list)
    delete: list[Segment] = field(default_factory=list)
    lost: dict[Key, RangeSet] = field(default_factory=dict)
    deleted_control: dict[Key, RangeSet] = field(default_factory=dict)
    freed_bytes: int = 0

    @property
    def lost_records(self) -> int:
        """How many records are lost."""
        return sum(ranges.count for ranges in self.lost.values())


def plan_drop(segments: Sequence[Segment], wanted_bytes: int) -> DropPlan:
    """Choose from closed segments, oldest first in the list, until `wanted_bytes` would be free.

    First those a proxy has wholly, then the oldest, both keeping what is not samples, since other records cannot be
    understood without the dictionary; only when that is not enough whole files from the oldest on.
    Raises OSError or RecordError when a segment cannot be read.
    """
    plan = DropPlan()
    control = {segment.number: _control(segment) for segment in segments if segment.control}
    taken_first = sorted(segments, key=lambda segment: not segment.is_taken)
    for segment in taken_first:
        if plan.freed_bytes >= wanted_bytes:
            break
        kept_bytes = control[segment.number][0] if segment.control else 0
        if segment.record_bytes - kept_bytes <= 0:
            continue
        (plan.compact if kept_bytes else plan.delete).append(segment)
        plan.freed_bytes += segment.record_bytes - kept_bytes
    for segment in segments:
        if plan.freed_bytes >= wanted_bytes:
            break
        if segment in plan.delete:
            continue
        if segment in plan.compact:
            plan.compact.remove(segment)
        plan.delete.append(segment)
        plan.freed_bytes += control[segment.number][0] if segment.control else segment.record_bytes
    for segment in plan.delete:
        for key, numbers in control.get(segment.number, (0, {}))[1].items():
            plan.deleted_control.setdefault(key, RangeSet()).update(numbers)
    _note_lost(plan, segments, {number: kept for number, (_, kept) in control.items()})
    return plan


def _control(segment: Segment) -> tuple[int, dict[Key, RangeSet]]:
    """Return the bytes and the names of the held records that are not samples."""
    size = 0
    names: dict[Key, RangeSet] = {}
    for _, kind, key, number, record in segment.records():
        held = segment.held.get(key)
        if is_control(kind) and held is not None and number in held:
            size += len(record)
            names.setdefault(key, RangeSet()).add(number, number)
    return size, names


def _note_lost(plan: DropPlan, segments: Sequence[Segment], control: dict[int, dict[Key, RangeSet]]) -> None:
    staying = [segment for segment in segments if segment not in plan.delete and segment not in plan.compact]
    for segment in [*plan.delete, *plan.compact]:
        kept = control.get(segment.number, {}) if segment in plan.compact else {}
        for key in segment.held:
            lost = segment.untaken(key).without(kept.get(key, ()))
            for other in staying:
                lost = lost.without(other.held.get(key, ()))
            if lost:
                plan.lost.setdefault(key, RangeSet()).update(lost)
