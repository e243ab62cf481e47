"""Which archived WAL a base backup needs, how its files are called, and what is said when some of it is missing."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import ObjectMissing
from backup.saving.sealed_files import Seal
from backup.wal.choice import Base, Until, choose
from backup.wal.names import (
    WalObject,
    is_wal_name,
    number_of,
    read_head,
    read_lsn,
    read_object_name,
    segment_at,
)
from backup.wal.recovery import stop_settings

_NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
_SEGMENT = 16 << 20
_BASE = Base(system_identifier=7, timeline=1, segment_bytes=_SEGMENT, start_lsn=3 * _SEGMENT, stop_lsn=3 * _SEGMENT + 9)


def _object(number: int, minutes: float, timeline: int = 1) -> WalObject:
    wal = segment_at(number * _SEGMENT, timeline, _SEGMENT)
    return WalObject(wal=wal, at=_NOON + timedelta(minutes=minutes), digest="0" * 16)


def _chosen(objects: list[WalObject], until: Until) -> tuple[list[int], bool]:
    found = choose(_BASE, sorted(objects, key=lambda each: each.wal), until)
    return [_BASE.number(each) for each in found.objects if each.is_segment], found.is_target_needed


def test_everything_from_the_base_backups_first_segment_on_is_fetched_when_no_moment_is_named() -> None:
    assert _chosen([_object(n, n) for n in range(1, 7)], Until()) == ([3, 4, 5, 6], False)


def test_a_moment_needs_the_wal_of_an_hour_beyond_it_where_a_commit_will_come() -> None:
    objects = [_object(3, 0), _object(4, 10), _object(5, 50), _object(6, 65), _object(7, 90), _object(8, 95)]
    assert _chosen(objects, Until(at=_NOON + timedelta(minutes=5))) == ([3, 4, 5, 6, 7], True)


def test_a_moment_after_all_the_wal_there_is_is_no_target() -> None:
    assert _chosen([_object(3, 0), _object(4, 10)], Until(at=_NOON + timedelta(minutes=11))) == ([3, 4], False)
    assert _chosen([], Until(at=_NOON)) == ([], False)


def test_recovery_stops_at_the_moment_or_position_and_at_its_own_end_where_the_base_backup_itself_is_named() -> None:
    later = _NOON + timedelta(milliseconds=1)
    assert stop_settings(Until(at=later), _NOON) == {"recovery_target_time": later.isoformat()}
    assert stop_settings(Until(at=_NOON), _NOON) == {"recovery_target": "immediate"}
    assert stop_settings(Until(lsn=0x16B374D848), _NOON) == {"recovery_target_lsn": "16/B374D848"}
    assert stop_settings(Until(), _NOON) == {}


def test_a_position_needs_the_wal_up_to_its_segment_and_it_must_be_there() -> None:
    objects = [_object(n, n) for n in range(3, 8)]
    assert _chosen(objects, Until(lsn=5 * _SEGMENT + 1)) == ([3, 4, 5], True)
    with pytest.raises(ObjectMissing, match="does not reach"):
        _chosen(objects, Until(lsn=8 * _SEGMENT))


def test_a_new_timeline_goes_on_where_the_old_one_ended() -> None:
    history = WalObject(wal="00000002.history", at=_NOON, digest="0" * 16)
    label = WalObject(wal="000000010000000000000003.00000028.backup", at=_NOON, digest="0" * 16)
    objects = [_object(3, 0), _object(4, 1), _object(4, 2, timeline=2), _object(5, 3, timeline=2), history, label]
    found = choose(_BASE, sorted(objects, key=lambda each: each.wal), Until())
    assert [each.wal for each in found.objects] == [
        "00000002.history", "000000010000000000000003", "000000010000000000000004", "000000020000000000000004",
        "000000020000000000000005",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([4, 5], "000000010000000000000003 is missing in the archive; what can be reached: the base backup alone"),
        ([3, 4, 6], "000000010000000000000005 is missing in the archive; what can be reached: --at 2026-11-30T12:04"),
    ],
)
def test_a_gap_is_named_with_the_moment_that_can_still_be_reached(numbers: list[int], words: str) -> None:
    with pytest.raises(ObjectMissing, match=re.escape(words)):
        _chosen([_object(number, number) for number in numbers], Until())
    with pytest.raises(ObjectMissing):
        _chosen([_object(number, number) for number in numbers], Until(lsn=7 * _SEGMENT))


def test_a_gap_after_the_moment_is_no_hindrance() -> None:
    objects = [_object(3, 0), _object(4, 61), _object(6, 70)]
    assert _chosen(objects, Until(at=_NOON - timedelta(minutes=1)))[0] == [3, 4]


@given(st.integers(0, 2**50), st.integers(1, 2**32 - 1), st.sampled_from([1 << 20, 16 << 20, 1 << 30]))
def test_a_position_is_in_the_segment_it_is_said_to_be_in(lsn: int, timeline: int, segment: int) -> None:
    name = segment_at(lsn, timeline, segment)
    assert is_wal_name(name)
    assert number_of(name, segment) == lsn // segment
    assert read_lsn(f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}") == lsn


@pytest.mark.parametrize("text", ["", "0", "0/", "G/0", "0/123456789", "0/1\n", "-1/0"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no position"):
        read_lsn(text)


def test_a_name_at_the_target_is_read_back_and_nothing_else_is_taken_for_one() -> None:
    each = WalObject(wal="000000010000000000000003", at=_NOON, digest="0123456789abcdef", size_bytes=9)
    assert read_object_name(each.name, 9) == each
    sealed = replace(each, seal=Seal(digest="fedcba9876543210", size_bytes=9))
    assert read_object_name(sealed.name, 9) == sealed
    for name in (each.name + ".half", each.name.replace("0123", "x123"), f"../{each.name}", "x-20261130T120000Z-0.gpg"):
        assert read_object_name(name, 9) is None


def test_the_head_of_a_segment_is_read_and_no_other_content_has_one() -> None:
    head = struct.pack("=HHIQI4xQII", 0xD118, 0x0002, 1, 3 * _SEGMENT, 0, 7, _SEGMENT, 8192)
    found = read_head(head + bytes(100))
    assert found is not None
    assert (found.timeline, found.address, found.system_identifier, found.segment_bytes) == (
        1,
        3 * _SEGMENT,
        7,
        _SEGMENT,
    )
    assert read_head(bytes(100)) is None
    assert read_head(b"") is None
