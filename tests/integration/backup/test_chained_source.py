"""A source that lays stand-ins for what the chain has: they are not read, or the run fails."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from backup.errors import EngineFailed
from backup.model import Kind
from backup.saving import run
from backup.sources.contract import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.backups import Site

FIRST, THEN = 1_700_000_000, 1_700_000_002


class Growing:
    """Its second run lays an empty file of the first one's size, whose time is that of `mtime`."""

    kind = "growing"
    mtime = FIRST
    said: str | None = None

    def doubt(self, before: Mapping[str, Any]) -> str | None:
        return self.said if before["taken"] == 1 else "unknown"

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:
        (scratch / "image").write_bytes(b"x" * 100_000)
        os.utime(scratch / "image", (FIRST, FIRST))
        os.utime(scratch, (FIRST, FIRST))
        yield Prepared(root=scratch, consistency={"taken": 1})

    @contextmanager
    def prepare_after(self, scratch: Path, before: Mapping[str, Any]) -> Iterator[Prepared]:
        (scratch / "image").touch()
        os.truncate(scratch / "image", 100_000)
        os.utime(scratch / "image", (self.mtime, self.mtime))
        (scratch / "changes").write_text("new")
        os.utime(scratch, (FIRST, FIRST))
        yield Prepared(root=scratch, consistency=dict(before), most_changed=0)


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch) -> Growing:
    source = Growing()
    monkeypatch.setattr(run, "source_of", lambda _settings, _chosen: source)
    return source


@pytest.mark.usefixtures("growing")
def test_a_stand_in_is_taken_for_unchanged_and_restores_what_it_stands_for(site: Site) -> None:
    site.run()
    assert site.run().kind is Kind.INCREMENTAL
    back = site.restore_plainly(site.folder / "back", is_all=True)
    assert (back / "image").read_bytes() == b"x" * 100_000
    assert (back / "changes").read_text() == "new"


def test_a_run_that_read_a_stand_in_counts_for_nothing(site: Site, growing: Growing) -> None:
    site.run()
    growing.mtime = THEN
    with pytest.raises(EngineFailed, match=r"more changed \(1\) than 0"):
        site.run()
    assert len(list(site.points.iterdir())) == 1


def test_what_a_source_doubts_brings_a_full_with_that_reason(site: Site, growing: Growing) -> None:
    site.run()
    growing.said = "its checkpoint is lost"
    record = site.run()
    assert (record.kind, record.reason) == (Kind.FULL, "its checkpoint is lost")
