"""In which version of a server a dump or a copy is proven, and what is said of it.

The programs here are ours: they print a version as PostgreSQL's do, and no server is started from them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from backup.errors import DrillFailed
from backup.proof.contract import Check, Evidence
from backup.proof.server_programs import folder_of, server_for_copy, server_for_dump
from backup.proof.versions import MARIADB, POSTGRESQL, Programs, ProvenIn, nearest, same_series, version_in

HERE = [Programs(folder=Path(version), version=version) for version in ("18.4", "16.14", "15.14", "13.2")]


@pytest.mark.parametrize(
    ("saved", "dump", "copy"),
    [
        ("15.1 (Debian 15.1-1)", "15.14", "15.14"),
        ("14.9", "15.14", None),
        ("17.6", "18.4", None),
        ("19beta1", "18.4", None),  # older: a try, which says so
        (None, "18.4", None),
    ],
)
def test_a_dump_goes_into_its_own_version_or_the_next_newer_and_a_copy_into_its_own(
    saved: str | None, dump: str, copy: str | None
) -> None:
    chosen, started = nearest(HERE, saved, POSTGRESQL), same_series(HERE, saved, POSTGRESQL)
    assert chosen is not None
    assert (chosen.version, started and started.version) == (dump, copy)
    assert nearest([], saved, POSTGRESQL) is None


@pytest.mark.parametrize(
    ("own", "saved", "words"),
    [
        ("15.14", "15.14 (Debian 15.14-0+deb12u1)", "in PostgreSQL 15.14, as it was dumped"),
        ("15.14", "15.2", "in PostgreSQL 15.14, dumped from 15.2"),
        ("17.6", "15.2", "in PostgreSQL 17.6, dumped from 15.2: no programs of 15 here"),
        ("15.14", "17.6", "in PostgreSQL 15.14, dumped from 17.6: no programs of 17 or newer here"),
        ("15.14", None, "in PostgreSQL 15.14"),
    ],
)
def test_both_versions_are_told(own: str, saved: str | None, words: str) -> None:
    server = ProvenIn(kind=POSTGRESQL, programs=Programs(folder=None, version=own), saved=saved, how="dumped")
    assert server.words() == words
    assert ("older than what was dumped" in server.doubt()) == (words.endswith("or newer here"))


def test_a_version_is_no_number_of_the_programs_path() -> None:
    said = "/opt/mariadb-10.11.2/bin/mariadbd  Ver 11.4.5-MariaDB-deb12 for debian-linux-gnu on x86_64 (Debian)"
    assert version_in(said) == "11.4.5"
    assert MARIADB.series_text(said) == "11.4"
    assert version_in("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)") == "15.14"


def _make(folder: Path, says: str) -> None:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / name).chmod(0o755)


def test_a_folder_of_several_versions_can_be_named_and_what_is_lacking_there_is_said(tmp_path: Path) -> None:
    for major in (9, 10, 17):
        _make(tmp_path / str(major) / "bin", f"postgres (PostgreSQL) {major}.3")
    assert folder_of(server_for_copy(POSTGRESQL, tmp_path, "9.3")) == tmp_path / "9/bin"
    assert folder_of(server_for_dump(POSTGRESQL, tmp_path / "10" / "bin", "9.3")) == tmp_path / "10/bin"
    with pytest.raises(DrillFailed, match=r"are of PostgreSQL 16, .* are programs of: 17, 10, 9\. .*_programs"):
        server_for_copy(POSTGRESQL, tmp_path, "16.1")
    with pytest.raises(DrillFailed, match=r"no PostgreSQL server in .*/9 to start: .* drills\.postgresql_programs"):
        server_for_dump(POSTGRESQL, tmp_path / "none" / "9", "9.3")
    _make(tmp_path / "broken", "")
    with pytest.raises(DrillFailed, match="does not say its version: without a word"):
        server_for_dump(POSTGRESQL, tmp_path / "broken", "9.3")


def test_a_server_that_hangs_when_it_is_asked_is_one_that_does_not_say_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path / "stuck", "")
    (tmp_path / "stuck" / "postgres").write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr("backup.proof.server_programs._ASKING_SECONDS", 0.5)
    with pytest.raises(DrillFailed, match=r"stuck/postgres does not say its version: .* time limit"):
        server_for_dump(POSTGRESQL, tmp_path / "stuck", "9.3")


def test_what_is_wrong_is_told_before_what_is_not() -> None:
    found = Evidence(checks=(Check(what="tables", looked_at=2), Check(what="answers", looked_at=1, differing=1)))
    assert found.words() == "1 answer, 1 of them wrong (); 2 tables"
