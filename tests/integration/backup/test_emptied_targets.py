"""A target that is not what it was: its disk is away, or restore points are gone that no prune takes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backup.errors import TargetAway
from backup.model import Kind
from tests.support.backups import SET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backups import Site


@contextmanager
def unmounted(site: Site) -> Iterator[None]:
    """Leave what an unmounted disk leaves: an empty folder."""
    away = site.store.rename(site.folder / "away")
    site.store.mkdir()
    yield
    assert list(site.store.iterdir()) == []
    site.store.rmdir()
    away.rename(site.store)


def test_nothing_is_written_where_the_disk_is_not_the_one_that_was_there(site: Site) -> None:
    site.run()
    with unmounted(site):
        with pytest.raises(TargetAway, match=r"mark web1/disk\.json is not there.*bkp run files --anew"):
            site.run()
        told = site.bkp("host", "doctor")
        assert told.returncode == 2
        assert f"do: mount its disk at {site.store}" in told.stdout
    assert site.run().kind is Kind.INCREMENTAL
    mark = site.store / "web1/disk.json"
    mark.unlink()
    with unmounted(site), pytest.raises(TargetAway, match="is not there"):
        site.run()
    (site.folder / "host/work/.disks/store").unlink()  # as a host has it that ran before there were marks
    (site.folder / "host/work" / SET / "known-points.json").unlink()
    with unmounted(site), pytest.raises(TargetAway, match="knows 2 restore points"):
        site.run()
    site.run()
    assert mark.exists()


def test_a_point_that_vanished_is_told_until_the_target_is_taken_as_it_is(site: Site) -> None:
    site.run()
    site.run()
    max(site.points.iterdir()).unlink()
    ran = site.bkp("host", "run", SET)
    assert ran.returncode == 0, ran.stderr
    assert "1 restore point vanished from target 'store'" in ran.stderr
    told = site.bkp("host", "status")
    assert (told.returncode, "1 restore point vanished from target 'store'" in told.stderr) == (1, True)
    anew = site.bkp("host", "run", SET, "--anew")
    assert (anew.returncode, anew.stderr) == (0, "")
    assert site.state()["vanished"] == []
    assert site.bkp("host", "status").returncode == 0


def test_an_old_chain_that_is_gone_is_told_where_the_host_knows_the_rules_that_keep_it(site: Site) -> None:
    for _ in range(2):
        site.run(is_full_asked=True)
    min(site.points.iterdir()).unlink()
    site.run()
    assert site.state()["vanished"] == []  # a pruner may have taken it
    file = site.file("host")
    file.write_text(file.read_text().replace("volume_size", "retention.keep_chains = 2\nvolume_size", 1))
    site.run(is_full_asked=True)
    old = site.manifest()["chain"]
    for each in sorted(site.points.iterdir())[:2]:
        each.unlink()
    site.run(is_full_asked=True)
    (told,) = site.state()["vanished"]
    assert (told["target"], told["count"]) == ("store", 2)
    assert len(list(site.points.iterdir())) == 2
    assert old in {each.name.partition(".")[0] for each in site.chains.iterdir()}
