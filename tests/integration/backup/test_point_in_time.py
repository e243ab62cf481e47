"""A PostgreSQL cluster comes back as of any moment after a base backup, and no WAL is lost on the way (B-6)."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from backup.keys.making import make_folder
from backup.keys.ring import KeyRing
from backup.wal.choice import read_base
from core.runtime.account import hand_over
from tests.support.backup_site import bkp, bkp_ok
from tests.support.postgres_cluster import SET, archived_cluster, ask, started
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres_cluster import ArchivedCluster

pytestmark = pytest.mark.trial("B-6")


@pytest.fixture(scope="module")
def cluster() -> Iterator[ArchivedCluster]:
    """A cluster with a base backup, and words told before and after."""
    with archived_cluster() as made:
        made.sql("INSERT INTO told VALUES ('in the base backup')")
        done = made.as_owner("run", SET, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def test_rows_committed_before_the_moment_are_there_and_those_after_are_not(
    cluster: ArchivedCluster, tmp_path: Path
) -> None:
    tmp_path.chmod(0o711)
    own = {"in the base backup", "before", "after"}
    cluster.sql("INSERT INTO told VALUES ('before')")
    lsn = cluster.sql("SELECT pg_current_wal_lsn()")
    moment = cluster.sql("SELECT clock_timestamp()")
    cluster.sql("INSERT INTO told VALUES ('after')")
    cluster.archive()

    timed_to = ("--to", str(tmp_path / "timed"), "--at", moment.isoformat())
    foretold = bkp_ok("restore", f"web1/{SET}", *timed_to, "--dry-run", config=cluster.site.station)
    assert foretold["wal"]["files"] >= 1
    assert foretold["wal"]["stops_at_target"]
    timed = _restored(cluster, tmp_path / "timed", "--at", moment.isoformat())
    assert timed["stops_at_target"]
    assert _words(cluster, tmp_path / "timed") & own == {"in the base backup", "before"}
    placed = _restored(cluster, tmp_path / "placed", "--lsn", lsn)
    assert placed["stops_at_target"]
    assert _words(cluster, tmp_path / "placed") & own == {"in the base backup", "before"}
    named = _restored(cluster, tmp_path / "named", "--at", cluster.site.state(SET)["last_good"]["at"])
    assert named["stops_at_target"]
    assert _words(cluster, tmp_path / "named") & own == {"in the base backup"}


def test_a_target_that_is_away_loses_no_wal_keeps_none_from_the_other_and_is_seen_in_the_state(
    cluster: ArchivedCluster,
) -> None:
    away, near = cluster.store.with_name("away"), cluster.store.with_name("other")
    one = cluster.site.host.read_text()
    near.mkdir()
    hand_over(near, cluster.postgres.account)
    table = f'[[targets]]\nname = "near"\nkind = "folder"\nfolder = "{near}"\n'
    cluster.site.host.write_text(one.replace('target = "store"', 'target = "store"\nalso = ["near"]') + table)
    cluster.store.rename(away)
    try:
        segment = cluster.end_segment()
        wait_until(lambda: "Mount the disk" in (_wal_state(cluster)["error"] or ""), 240, "the failure in the state")
        assert _wal_state(cluster)["failing_since"] is not None
        assert (cluster.folder / "pg_wal" / segment).exists()
        status = bkp("status", config=cluster.site.host)
        assert (status.exit_code, "its WAL has not come to every target since" in status.errors) == (1, True)
        ahead = cluster.end_segment()
        wait_until(lambda: any(near.rglob(f"{ahead}-*.gpg")), 240, "what comes later, at the other target")
        wait_until(lambda: _wal_state(cluster)["targets"]["near"]["archived"] >= ahead, 240, "that in the state")
        assert cluster.last_archived() < segment
        sealed = {path: path.read_bytes() for path in near.rglob("*.gpg")}
    finally:
        away.rename(cluster.store)
    cluster.sql("INSERT INTO told VALUES ('and on')")
    later = cluster.archive()
    assert later > ahead
    state = _wal_state(cluster)
    assert (state["archived"], state["failing_since"], state["error"]) == (later, None, None)
    assert {path: path.read_bytes() for path in sealed} == sealed
    assert {path.name[:24] for path in near.rglob("*.gpg")} >= {segment, ahead, later}
    assert len(list(near.rglob(f"{ahead}-*.gpg"))) == 1
    cluster.site.host.write_text(one)
    (reach,) = bkp_ok("wal", "list", f"web1/{SET}", config=cluster.site.station)
    assert reach["missing"] == []
    assert reach["last"] == later


def test_the_same_file_may_come_again_and_another_of_its_name_is_refused(
    cluster: ArchivedCluster, tmp_path: Path
) -> None:
    segment = cluster.archive()
    before = sorted(cluster.wal.rglob("*"))
    copy = tmp_path / "copy"
    (copy / "global").mkdir(parents=True)
    (copy / "pg_wal").mkdir()
    shutil.copy(cluster.folder / "global/pg_control", copy / "global")
    path = copy / "pg_wal" / segment
    got = bkp("wal", "get", f"web1/{SET}", segment, str(path), config=cluster.site.station)
    assert got.exit_code == 0, got.errors
    again = bkp("wal", "put", SET, str(path), config=cluster.site.host)
    assert again.exit_code == 0, again.errors
    assert sorted(cluster.wal.rglob("*")) == before

    near = cluster.site.folder / "target-near"
    near.mkdir()
    both = cluster.site.folder / "both.toml"
    more = f'[[targets]]\nname = "near"\nkind = "folder"\nfolder = "{near}"\n'
    both.write_text(
        cluster.site.host.read_text().replace('target = "store"', 'target = "store"\nalso = ["near"]') + more
    )
    twice = bkp("wal", "put", SET, str(path), config=both)
    assert twice.exit_code == 0, twice.errors
    assert [each.name[:24] for each in near.rglob("*.gpg")] == [segment]  # the second target lacked it

    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    other = bkp("wal", "put", SET, str(path), config=cluster.site.host)
    assert (other.exit_code, "a copy of this cluster" in other.errors) == (30, True), other.errors
    path.rename(path.with_name(f"{segment[:-2]}FF"))
    strange = bkp("wal", "put", SET, f"{path.parent}/{segment[:-2]}FF", config=cluster.site.host)
    assert (strange.exit_code, "not the segment its name says" in strange.errors) == (30, True), strange.errors
    unknown = bkp("wal", "get", f"web1/{SET}", "0000000900000000000000AA", str(tmp_path / "x"),
                  config=cluster.site.station)  # fmt: skip
    assert unknown.exit_code == 23
    hand_over(cluster.site.folder, cluster.postgres.account)  # what these calls made as ourselves


def test_wal_that_is_missing_or_of_another_is_named_and_no_cluster_is_left_that_would_come_up(
    cluster: ArchivedCluster, tmp_path: Path
) -> None:
    cluster.archive()
    cluster.sql("INSERT INTO told VALUES ('then')")
    cluster.archive()
    cluster.sql("INSERT INTO told VALUES ('later')")
    cluster.archive()
    segments = sorted(path for path in cluster.wal.rglob("*.gpg") if len(path.name.split("-")[0]) == 24)
    victim = segments[-2]
    kept = victim.read_bytes()
    whole = bkp_ok("verify", f"web1/{SET}", "--depth", "read", config=cluster.site.station)["sets"][0]
    assert whole["log_files"] >= 3
    for is_gone in (True, False):
        if is_gone:
            victim.unlink()
        else:
            victim.write_bytes(segments[-1].read_bytes())
        verified = bkp("verify", f"web1/{SET}", "--depth", "read", "--json", config=cluster.site.station)
        assert verified.exit_code == 53, verified.output
        ((damage,),) = (each["damages"] for each in verified.document["sets"])
        assert victim.name.split("-")[0] in damage["name"]
        assert (damage["moments"][0] is not None, damage["moments"][1], damage["kills"]) == (True, None, [])
        ended = bkp("restore", f"web1/{SET}", "--to", str(tmp_path / f"gone-{is_gone}"), config=cluster.site.station)
        assert ended.exit_code == (23 if is_gone else 53), ended.errors
        assert victim.name.split("-")[0] in ended.errors
        assert not (tmp_path / f"gone-{is_gone}" / "cluster").exists()
    store, near = cluster.site.folder / "target-store", tmp_path / "near"
    shutil.copytree(store, near)
    (near / victim.relative_to(store)).write_bytes(kept)
    both = cluster.site.station.with_name("both-station.toml")
    both.write_text(
        f'{cluster.site.station.read_text()}[[targets]]\nname = "near"\nkind = "folder"\nfolder = "{near}"\n'
        f'[[sets]]\nname = "{SET}"\nhost = "web1"\ntarget = "store"\nalso = ["near"]\n'
    )
    ended = bkp("restore", f"web1/{SET}", "--to", str(tmp_path / "whole"), config=both)
    assert ended.exit_code == 0, ended.errors
    assert "target 'store' failed while fetching the WAL" in ended.errors
    assert any(victim.name.startswith(path.name) for path in (tmp_path / "whole" / "wal").iterdir())
    victim.write_bytes(kept)


def test_a_later_base_backup_is_a_small_increment(cluster: ArchivedCluster) -> None:
    full = cluster.site.state(SET)["last_good"]
    done = cluster.as_owner("run", SET, "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout.splitlines()[-1])
    assert made["kind"] == "incremental", made["reason"]
    assert made["stored_bytes"] < full["stored_bytes"] / 3
    assert cluster.site.state(SET)["wal"]["archived"]


def test_a_drill_replays_all_the_wal_and_reads_every_table(cluster: ArchivedCluster) -> None:
    cluster.sql("INSERT INTO told VALUES ('proven')")
    cluster.archive()
    station = cluster.site.station.with_name("drilling-station.toml")
    shutil.copy(cluster.site.station, station)
    with station.open("a") as file:
        file.write(f'[[sets]]\nname = "{SET}"\nhost = "web1"\ntarget = "store"\n')
        file.write("drill_questions = [\"SELECT count(*) = 1 FROM told WHERE word = 'proven'\"]\n")
    (row,) = bkp_ok("drill", f"web1/{SET}", config=station)["sets"]
    assert row["is_proven"], row
    assert row["drill"]["server"]["version"] == row["drill"]["server"]["saved_version"]
    checks = {check["what"]: check for check in row["drill"]["checks"]}
    (recovery,) = [check for what, check in checks.items() if what.startswith("recoveries through")]
    assert (recovery["looked_at"], recovery["differing"]) == (1, 0)
    (reading,) = [check for what, check in checks.items() if what.startswith("databases read")]
    assert (reading["looked_at"], reading["differing"]) == (3, 0)
    assert checks["questions answered"]["differing"] == 0

    segments = sorted(path for path in cluster.wal.rglob("*.gpg") if len(path.name.split("-")[0]) == 24)
    kept = segments[-2].read_bytes()
    segments[-2].unlink()
    failed = bkp("drill", f"web1/{SET}", "--json", config=station)
    segments[-2].write_bytes(kept)
    assert failed.exit_code == 54, failed.output
    assert f"{segments[-2].name[:24]} is missing in the archive" in failed.output


def test_the_pruner_deletes_wal_before_the_oldest_base_backup_that_stays_and_nothing_else(
    cluster: ArchivedCluster, tmp_path: Path
) -> None:
    tmp_path.chmod(0o711)
    cluster.archive()
    done = cluster.as_owner("run", SET, "--full", "--json")
    assert done.returncode == 0, done.stderr
    cluster.sql("INSERT INTO told VALUES ('newest of all')")
    cluster.archive()
    before = {path.name for path in cluster.wal.rglob("*.gpg")}
    for rule in ("keep_chains = 2", "keep_chains = 1"):
        pruner = _pruner(cluster, rule)
        shown = bkp("prune", "--dry-run", config=pruner)
        pruned = bkp("prune", "--yes", "--json", config=pruner)
        assert pruned.exit_code == 0, pruned.errors
        first = min(_first_segments(cluster))
        left = {name for name in before if name[:24] >= first}
        assert {path.name for path in cluster.wal.rglob("*.gpg")} == left
        assert (pruned.document["wal_deleted"] > 0) == (left != before) == ("written before" in shown.output)
        before = left
    assert pruned.document["wal_deleted"] > 0
    newest = _restored(cluster, tmp_path / "newest")
    assert newest["wal_segments"] >= 1
    assert not newest["stops_at_target"]
    assert "newest of all" in _words(cluster, tmp_path / "newest")


def _pruner(cluster: ArchivedCluster, rule: str) -> Path:
    """Write a pruner's configuration."""
    site = cluster.site
    keys, file = site.folder / "pruner" / "keys", site.folder / "pruner.toml"
    if not keys.exists():
        make_folder(keys)
        exported = bkp("key", "export", "host", "--config", str(site.host)).output
        with KeyRing(keys, keys) as ring:
            ring.bring(exported, may_be_secret=False)
    file.write_text(
        f'host = "pruner1"\nkeys.host = "none"\n{"".join(site.targets)}[pruner]\nkeys = "pruner/keys"\n'
        f'grace = "0s"\nretention.{rule}\n'
    )
    return file


def _first_segments(cluster: ArchivedCluster) -> list[str]:
    """Return the first segment each restore point at the target needs."""
    texts = [path.read_text() for path in (cluster.store / "web1" / SET / "points").iterdir()]
    found = [json.loads(text[text.index("{") : text.index("-----BEGIN PGP SIGNATURE")]) for text in texts]
    return [read_base(manifest["consistency"]).first for manifest in found]


def _restored(cluster: ArchivedCluster, to: Path, *options: str) -> dict[str, Any]:
    document = bkp_ok("restore", f"web1/{SET}", "--to", str(to), *options, config=cluster.site.station)
    found: dict[str, Any] = document["cluster"]
    return found


def _words(cluster: ArchivedCluster, restored: Path) -> set[str]:
    """Start what was restored; return every word told in it."""
    password = str(conninfo_to_dict(cluster.postgres.superuser_dsn)["password"])
    with started(restored / "cluster", cluster.postgres.account, password) as dsn:
        assert ask(dsn, "SHOW archive_mode") == "off"
        return set(ask(dsn, "SELECT array_agg(word) FROM told"))


def _wal_state(cluster: ArchivedCluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.site.state(SET)["wal"]
    return found
