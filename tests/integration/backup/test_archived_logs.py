"""Archived logs are decrypted by the deepest verification, and one that is not whole is put again beside itself."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from backup.archives.verify import ArchivedLogs
from backup.catalogue import Catalogue
from backup.errors import SignerUnknown
from backup.keys.making import make_folder, make_host_pair, make_passphrase_file
from backup.keys.ring import KeyRing
from backup.notes.marks import Marking
from backup.restoring.inspection import Inspection
from backup.saving.sealed_files import put_sealed
from backup.station.station import Station, open_station
from backup.targets.registry import open_target
from backup.wal.archive import WalArchive, digest_of
from backup.wal.names import WalObject, segment_at
from tests.support.backups import HOST, PLACE, SET
from tests.unit.backup.test_archived_logs import NOON, SEGMENT, base, flip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.model import RestorePoint
    from backup.restoring.inspection import Found
    from tests.support.backups import Site

pytestmark = pytest.mark.trial("B-3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(Station):
    """A station at which restore points are known that no run made."""

    points_there: tuple[RestorePoint, ...]

    def catalogue(self) -> Catalogue:
        return Catalogue(points=self.points_there, refused=(), read_at=NOON)


@pytest.fixture
def station(site: Site) -> Iterator[Known]:
    made = base(3, 3)
    made = replace(made, manifest=replace(made.manifest, recipients=(site.pairs.station.fingerprint,)))
    settings = site.settings("station")
    with open_station(settings, settings.find_set(SET)) as opened:
        yield Known(**{each.name: getattr(opened, each.name) for each in fields(opened)}, points_there=(made,))


def content_of(number: int) -> bytes:
    """Return a segment of WAL as far as anybody here looks at it."""
    head = struct.pack("=HHIQI4xQII", 0xD118, 0x0002, 1, number * SEGMENT, 0, 7, SEGMENT, 8192)
    return head + bytes(SEGMENT - len(head))


def put(ring: KeyRing, site: Site, number: int) -> Path:
    """Archive a segment as its host does; return where it lies."""
    now = datetime.now(UTC)
    with open_target(site.settings().find_target("store")) as target:
        archive = WalArchive(target, PLACE, ring, 7)
        wal = segment_at(number * SEGMENT, 1, SEGMENT)
        made = archive.put(wal, content_of(number), NOON, ring.signing_key(now), ring.recipients((), now))
        return site.store / archive.path(made)


def look(station: Station) -> Found:
    logs = ArchivedLogs(station, station.catalogue().points)
    inspection = Inspection(
        target=station.target, is_reading=True, is_opening=True, wanted=None, total=len(logs.names()),
        marking=Marking(None, "", (), ""), on_progress=None,
    )  # fmt: skip
    return logs.look(inspection)


def test_the_deepest_look_finds_a_log_that_is_signed_but_anothers_and_one_that_was_put_again_is_whole(
    site: Site, station: Known
) -> None:
    with site.ring() as ring:
        paths = [put(ring, site, number) for number in (3, 4)]
        assert look(station).damages == ()
        flip(paths[1])
        (damage,) = look(station).damages
        assert (damage.name, damage.what) == (
            str(paths[1].relative_to(site.store)),
            "its content is not what was sent (SHA-256 differs)",
        )
        again = put(ring, site, 4)
        assert again != paths[1]
        assert put(ring, site, 4) == again  # which is whole
        assert look(station).damages == ()
        archive = WalArchive(station.target, PLACE, station.ring, 7)
        assert {archive.fetch(each) for each in archive.objects()[1:]} == {content_of(4)}

        now = datetime.now(UTC)
        by = ring.signing_key(now), ring.recipients((), now)
        others = [
            WalObject(wal=segment_at(number * SEGMENT, 1, SEGMENT), at=NOON, digest=digest_of(content_of(5)))
            for number in (5, 6)
        ]
        with open_target(site.settings().find_target("store")) as target:
            put_sealed(target, ring, lambda seal: archive.path(replace(others[0], seal=seal)), content_of(6), *by)
            put_sealed(target, ring, lambda seal: archive.path(replace(others[1], seal=seal)), content_of(6), *by)
    found = {each.name.rpartition("/")[2][:24]: each.what for each in look(station).damages}
    assert found == {
        others[0].wal: "it holds another segment than its name says",
        others[1].wal: "it holds another log than its name says",
    }


def test_a_log_signed_by_a_key_nobody_brought_to_the_station_is_no_damage_but_is_told(
    site: Site, station: Known
) -> None:
    home, passphrase = site.folder / "other", site.folder / "other.passphrase"
    make_folder(home, is_passphrase_random=make_passphrase_file(passphrase))
    with KeyRing(home, passphrase) as ring, site.ring() as own:  # the account that archives WAL has a key of its own
        make_host_pair(ring, HOST)
        ring.bring(own.export_public(site.pairs.station), may_be_secret=False)
        put(ring, site, 3)
    found = look(station)
    assert found.damages == ()
    assert [type(each) for each in found.hindrances] == [SignerUnknown]
