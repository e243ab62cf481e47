"""What a host may take back of its own at a target, and what it may not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from backup.catalogue import Catalogue
from backup.model import Place, RunId, RunRecord, Status, read_instant
from backup.saving.leftovers import clear_leftovers, withdraw
from backup.settings.target import TargetSettings
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from pathlib import Path

_BEGUN = datetime(2026, 11, 21, 4, 16, 0, 700_000, tzinfo=UTC)
_OWN = "web1/files/chains/20261101T000000Z/duplicity-inc.20261120T041600Z.to.20261121T041600Z.vol1.difftar.gpg"
_OLD = (
    "web1/files/chains/20261101T000000Z/duplicity-inc.20261119T041600Z.to.20261121T041559Z.vol1.difftar.gpg",
    "web1/files/chains/20261101T000000Z/duplicity-full-signatures.20261101T000000Z.sigtar.gpg",
    "web1/files/points/20261101T000000Z.json.asc",
    "web1/files/holds/case.json",
)


@pytest.mark.trial("S-11")
@pytest.mark.parametrize("old", _OLD)
def test_a_host_takes_back_what_its_run_left_and_nothing_older(tmp_path: Path, old: str) -> None:
    target = TargetSettings(name="store", kind="folder", folder=tmp_path)
    for name in (_OWN, old):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"."):
        withdraw(target, [_OWN, old], _BEGUN)
    assert (tmp_path / _OWN).exists()
    withdraw(target, [_OWN], _BEGUN)
    assert not (tmp_path / _OWN).exists()
    assert (tmp_path / old).exists()


def test_no_folders_stay_of_parts_that_had_sent_nothing_when_the_run_was_killed(tmp_path: Path) -> None:
    settings = TargetSettings(name="store", kind="folder", folder=tmp_path)
    place = Place(host="web1", set="files")
    other = tmp_path / place.part("20261120T041600Z", "part-1") / "duplicity-full.20261120T041600Z.vol1.difftar.gpg"
    chain = tmp_path / place.chain("20261121T041600Z")
    for number in (1, 2, 3):
        (chain / f"part-{number}").mkdir(parents=True)
    (chain / "part-2" / "duplicity-full.20261121T041601Z.vol1.difftar.gpg").write_bytes(b"x")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"of another run")
    killed = RunRecord(
        id=RunId(set="files", due_at=_BEGUN), status=Status.KILLED, started_at=_BEGUN, pid=1, chain=chain.name
    )
    with open_target(settings) as target:
        clear_leftovers(target, settings, place, Catalogue(points=(), refused=()), [killed])
    assert list(chain.parent.iterdir()) == [other.parent.parent]
    assert other.exists()


def test_files_of_a_good_run_stay_when_its_manifest_vanished_though_a_run_before_it_in_the_chain_failed(
    tmp_path: Path,
) -> None:
    settings, place = TargetSettings(name="store", kind="folder", folder=tmp_path), Place(host="web1", set="files")
    chain = tmp_path / place.chain("20261101T000000Z")
    chain.mkdir(parents=True)
    good, whole, left = (
        chain / f"duplicity-inc.20261101T000000Z.to.{name}.vol1.difftar.gpg"
        for name in ("20261121T051600Z", "20261121T061600Z", "20261121T071600Z")
    )
    for file in (good, whole, left):
        file.write_bytes(b"x")
    failed, ok, elsewhere, lacking = (
        RunRecord(
            id=RunId(set="files", due_at=_BEGUN.replace(hour=hour)), status=status, pid=1, chain=chain.name,
            started_at=_BEGUN.replace(hour=hour), at=at, missing_at=missing,
        )
        for hour, status, at, missing in (
            (4, Status.FAILED, None, ()),
            (5, Status.OK, read_instant("20261121T051600Z"), ()),
            (6, Status.FAILED, read_instant("20261121T061600Z"), ("far",)),
            (7, Status.FAILED, read_instant("20261121T071600Z"), ("store",)),
        )
    )  # fmt: skip
    with open_target(settings) as target:
        records = [lacking, elsewhere, ok, failed]
        clear_leftovers(target, settings, place, Catalogue(points=(), refused=()), records)
    assert set(chain.iterdir()) == {good, whole}
