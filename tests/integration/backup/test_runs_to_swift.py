"""Runs to a real Swift, and to one that lies: nothing that did not arrive is ever called saved."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backup.catalogue import read_catalogue
from backup.errors import ObjectMissing, TargetAway, TargetDiffers, TargetFull
from backup.model import Kind, Status
from backup.targets.registry import open_target
from tests.support.backups import PLACE, change, fill, new_site
from tests.support.faulty_swift import FaultySwift

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.catalogue import Catalogue
    from backup.errors import BackupError
    from tests.support.backups import Pairs, Site
    from tests.support.faulty_swift import Fault
    from tests.support.swift import Swift


@contextmanager
def _swift_site(pairs: Pairs, swift: Swift, auth_url: str) -> Iterator[Site]:
    target = (
        f'kind = "swift"\nauth_url = "{auth_url}"\nuser = "{swift.user}"\nkey_file = "swift.key"\n'
        f'container = "{swift.new_container()}"\ntimeout = "60s"'
    )
    with new_site(pairs, target) as site:
        fill(site.data)
        for role in ("host", "station"):
            (site.folder / role / "swift.key").write_text(swift.key)
        yield site


def _catalogue(site: Site) -> Catalogue:
    settings = site.settings()
    with site.ring() as ring, open_target(settings.find_target("store")) as target:
        return read_catalogue(target, PLACE, ring)


def _chains(site: Site) -> list[str]:
    with open_target(site.settings().find_target("store")) as target:
        return target.folders(PLACE.chains)


def test_a_full_and_an_incremental_go_to_swift(pairs: Pairs, swift: Swift) -> None:
    with _swift_site(pairs, swift, swift.auth_url) as site:
        assert site.run().kind is Kind.FULL
        change(site.data / "empty", "no more")
        record = site.run()
        assert (record.kind, record.status) == (Kind.INCREMENTAL, Status.OK)
        assert [point.manifest.position for point in _catalogue(site).points] == [0, 1]
        text = "".join(path.read_text() for path in (site.folder / "host").rglob("*.json"))
        assert swift.key not in text


@pytest.mark.trial("B-2")
@pytest.mark.parametrize(
    ("fault", "path_part", "kinds"),
    [
        ("413", "vol2.difftar", (TargetFull,)),
        ("lost put", "vol2.difftar", (ObjectMissing, TargetAway, TargetDiffers)),
        ("lost put", "/points/", (ObjectMissing, TargetDiffers)),
        ("cut put", ".manifest.gpg", (TargetDiffers,)),
        ("cut put", ".sigtar.gpg", (TargetDiffers,)),
        ("500", "/points/", (TargetAway,)),
    ],
)
def test_a_swift_that_fails_or_lies_makes_the_run_fail_loudly(
    pairs: Pairs, swift: Swift, fault: Fault, path_part: str, kinds: tuple[type[BackupError], ...]
) -> None:
    with FaultySwift(swift).running() as faulty, _swift_site(pairs, swift, faulty.auth_url) as site:
        faulty.path_part, faulty.fault = path_part, fault
        with pytest.raises(kinds):
            site.run()
        assert faulty.struck
        state = site.state()
        assert (state["last_run"]["status"], state["last_good"]) == ("failed", None)
        assert state["last_run"]["exit_code"] not in (0, 1, None)
        assert _catalogue(site).points == ()
        if TargetFull in kinds:
            assert _chains(site) == []  # the volume that was there already keeps nobody else from saving
        faulty.fault = "none"
        assert site.run().status is Status.OK
        assert len(_catalogue(site).points) == 1


@pytest.mark.parametrize("path_part", ["vol1.difftar", ".sigtar.gpg", "/points/"])
def test_a_swift_that_fails_once_is_asked_again_whatever_is_being_sent(
    pairs: Pairs, swift: Swift, path_part: str
) -> None:
    with FaultySwift(swift).running() as faulty, _swift_site(pairs, swift, faulty.auth_url) as site:
        faulty.path_part, faulty.fault, faulty.most = path_part, "500", 1
        assert site.run().status is Status.OK
        assert faulty.struck == 1
        assert len(_catalogue(site).points) == 1


def test_nothing_is_sent_faster_than_the_targets_limit(pairs: Pairs, swift: Swift, tmp_path: Path) -> None:
    limit = 512 << 10
    with FaultySwift(swift).running() as watched, _swift_site(pairs, swift, watched.auth_url) as site:
        file = site.file("host")
        file.write_text(file.read_text().replace('timeout = "60s"', 'timeout = "60s"\nupload_limit = "512KiB"'))
        (tmp_path / "copied").write_bytes(bytes(600 << 10))
        with open_target(site.settings().find_target("store")) as target:
            target.reach()
            target.put("by/ourselves", tmp_path / "copied")
        assert site.run().status is Status.OK
        assert len(watched.rates) >= 3  # ours and duplicity's
        assert max(watched.rates) < 2 * limit
