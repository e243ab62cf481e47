"""A drill restores a real backup aside and proves it, or says what differs; nothing of it stays (B9)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backup.errors import DrillFailed
from backup.proof.cluster import ScratchCluster
from backup.proof.contract import Limits
from backup.proof.database_checks import check_structures
from backup.proof.server_programs import folder_of, server_for_dump
from backup.proof.tree import compare_tree
from backup.proof.versions import POSTGRESQL
from backup.sources.postgresql.psql import embedded_folders, session
from core.runtime.account import namespace_prefix
from tests.support.backup_site import backup_site, bkp, bkp_ok
from tests.support.backups import CHECKOUT, HOST, SET, change
from tests.support.holding import DECRYPTING, HeldGpg
from tests.support.processes import family
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.backups import Site

pytestmark = pytest.mark.trial("B-6")


@pytest.fixture
def limits() -> Limits:
    return Limits(deadline=time.monotonic() + 3600, memory_bytes=1 << 30)


def state_of(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site.folder / "station/state/drills" / HOST / f"{SET}.json").read_text())
    return found


def drilled(site: Site, *options: str, exit_code: int = 0) -> dict[str, Any]:
    done = site.bkp("station", "drill", f"{HOST}/{SET}", "--json", *options)
    assert done.returncode == exit_code, done.stdout + done.stderr
    row: dict[str, Any] = json.loads(done.stdout)["sets"][0]
    return row


def remains(site: Site) -> list[Path]:
    return [path for path in (site.folder / "station/work").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_every_entry_and_block_of_a_chain_is_compared_and_nothing_stays(site: Site) -> None:
    (site.data / "ümlaut \\ name").write_bytes(os.urandom(700))
    (site.data / os.fsdecode(b"not utf-8 \xff\n")).write_text("odd")
    (site.data / "program").touch(mode=0o4755)
    (site.data / "nowhere").symlink_to("../../nowhere")
    os.mkfifo(site.data / "pipe")
    with (site.data / "sparse").open("wb") as sparse:
        sparse.truncate(3_000_001)
    site.run()
    change(site.data / "empty", "no more")
    (site.data / "deep" / "er" / "words").unlink()
    (site.data / "program").chmod(0o644)
    with (site.data / "deep" / "noise").open("r+b") as noise:
        noise.truncate(1 << 20)
    site.run()
    row = drilled(site)
    assert row["is_proven"]
    checks = {check["what"]: check for check in row["drill"]["checks"]}
    entries = sum(len(folders) + len(names) for _, folders, names in os.walk(site.data))
    entries += len(site.data.parts) - 1  # the folders down to it, without "/"
    assert checks["entries"]["looked_at"] == entries
    assert checks["blocks of files"]["looked_at"] > 1
    assert remains(site) == []
    state = state_of(site)
    assert state["last_drill"] == state["last_proven"]
    assert state["last_proven"]["bytes_per_second"] > 0

    with site.file("station").open("a") as file:  # its [[sets]] stands last
        file.write('restore_within = "1s"\n')
    told = json.loads(site.bkp("station", "predict", "--json").stdout)["sets"][0]
    assert told["restore_seconds"] >= state["last_proven"]["restore_seconds"]
    status = site.bkp("station", "status")
    assert "proven" in status.stdout
    assert ("too long" in status.stdout, status.returncode) == (told["is_over"], int(told["is_over"]))


def test_a_station_that_is_not_root_proves_what_root_has_shut(site: Site) -> None:
    (site.data / "shut").mkdir()
    (site.data / "shut" / "secret").write_text("not for everybody")
    (site.data / "shut" / "secret").chmod(0)
    (site.data / "shut").chmod(0o050)
    site.run()
    done = subprocess.run(
        [*namespace_prefix(65534, 65534), *site.command("station", "drill", f"{HOST}/{SET}")],
        cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert remains(site) == []


def test_whatever_differs_from_what_the_host_saw_is_named(site: Site, tmp_path: Path, limits: Limits) -> None:
    (site.data / "link").symlink_to("deep")
    site.run()
    signatures = sorted((site.folder / "host/work").rglob("duplicity-full-signatures.*"))
    top = tmp_path / "root"
    assert site.bkp("station", "restore", f"{HOST}/{SET}", "--to", str(top)).returncode == 0
    assert not any(check.differing for check in compare_tree(top, [signatures], limits))

    kept = top / str(site.data)[1:]
    words = kept / "deep" / "er" / "words"
    before = words.stat()
    words.write_text("FIRST\n")  # as long as it was, and of the same time
    os.utime(words, ns=(before.st_atime_ns, before.st_mtime_ns))
    with (kept / "deep" / "noise").open("ab") as noise:
        noise.write(bytes(1 << 16))
    (kept / "empty").chmod(0o600)
    (kept / "link").unlink()
    (kept / "link").symlink_to("/elsewhere")
    (kept / "more").touch()
    entries, blocks = compare_tree(top, [signatures], limits)
    told = " ".join(entries.names)
    assert f"{str(words)[len(str(top)) + 1 :]}: 1 blocks" in blocks.names
    for said in ("has mode 600", "leads to /elsewhere", "was not saved", "were saved"):
        assert said in told


def test_a_drill_that_cannot_restore_fails_with_its_reason_and_the_last_proof_only_gets_older(site: Site) -> None:
    site.run()
    drilled(site)
    proven = state_of(site)["last_proven"]
    volume = next(site.chains.rglob("*.vol1.difftar.gpg"))
    content = bytearray(volume.read_bytes())
    content[len(content) // 2] ^= 1
    volume.write_bytes(content)
    row = drilled(site, exit_code=24)
    assert datetime.fromisoformat(row["proven_before"]) == datetime.fromisoformat(proven["ended_at"])
    state = state_of(site)
    assert (state["last_drill"]["status"], state["last_drill"]["exit_code"]) == ("failed", 24)
    assert state["last_proven"] == proven
    assert remains(site) == []
    assert "a verification by station1 found damage" in (site.run().reason or "")  # its host begins anew by itself
    assert drilled(site)["is_proven"]


def test_a_drill_without_room_says_how_much_it_needs_before_it_restores_anything(site: Site) -> None:
    site.run()
    with site.file("station").open("a") as file:
        file.write('[drills]\nkeep_free = "100000 GiB"\n')
    row = drilled(site, exit_code=44)
    assert "drills.scratch" in row["error"]


def test_what_is_tried_by_hand_without_or_beside_the_configuration_leaves_no_record(site: Site) -> None:
    site.run()
    drilled(site, "--at", "2020-01-01", exit_code=50)
    keys = site.folder / "station" / "keys" / "station"
    assert drilled(site, "--target", str(site.store), "--key", str(keys))["is_proven"]
    assert not (site.folder / "station" / "state").exists()
    assert site.bkp("host", "drill", SET).returncode == 10
    assert not (site.folder / "host" / "state" / "drills").exists()


def test_a_killed_drill_proves_nothing_and_the_next_one_clears_what_it_left(site: Site) -> None:
    site.run()
    scratch = site.folder / "station/work/drills" / HOST / SET
    with (
        HeldGpg(site.folder, DECRYPTING) as held,
        subprocess.Popen(
            site.command("station", "drill", f"{HOST}/{SET}"), cwd=CHECKOUT, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=held.environment,
        ) as killed,
    ):  # fmt: skip
        held.wait("a drill under way")
        assert (scratch / "cache").exists()
        everybody = family([killed.pid])
        killed.kill()
    wait_until(lambda: not any(each.is_there for each in everybody), 240, "the end of all it started")
    state = state_of(site)
    assert (state["last_drill"]["status"], state["last_proven"]) == ("running", None)
    assert scratch.exists()
    assert drilled(site)["is_proven"]
    assert not scratch.exists()


def test_a_database_is_loaded_into_a_server_of_its_own_version_counted_and_asked(
    tmp_path: Path, limits: Limits
) -> None:
    """It is Debian's, dumped by the newest programs there are: what these write, Debian's need not be able to read."""
    (programs,) = Path("/usr/lib/postgresql").glob("1[5-9]/bin")
    server = ScratchCluster(tmp_path / "shop", programs, limits)
    server.make()
    with server.running(), backup_site() as site:
        login = server.login()
        with session(login, 300) as psql:
            psql.ask(
                'CREATE TABLE customer (id int PRIMARY KEY, name text); CREATE TABLE "Odd Name" (id int);'
                " INSERT INTO customer SELECT n, 'customer ' || n FROM generate_series(1, 500) n;"
            )
            ((version,),) = psql.ask("SELECT current_setting('server_version');")
        site.add_folder_target()
        site.add_database_set("shop", "store", f'database = "{login.database}"\nhost = "{login.host}"\n'
                              f'port = {login.port}\nuser = "{login.user}"\npassfile = "{login.passfile}"\n'
                              f'binaries = "{next(embedded_folders())}"')  # fmt: skip
        site.write()
        bkp_ok("run", "shop", config=site.host)
        told = bkp_ok("drill", "web1/shop", config=site.station)["sets"][0]["drill"]
        assert "2 tables with 500 rows" in told["evidence"]
        assert "amcheck" in told["evidence"]  # whether it is there or not, it is said
        own = version.split()[0]
        assert told["server"] == {"program": "PostgreSQL", "version": own, "saved_version": own}
        assert f"in PostgreSQL {own}, as it was dumped" in told["evidence"]
        assert told["ready_seconds"] > 0

        with site.station.open("a") as file:
            file.write(
                '[[sets]]\nname = "shop"\nhost = "web1"\ntarget = "store"\ndrill_questions = ["SELECT true",'
                ' "SELECT count(*) > 0 FROM \\"Odd Name\\""]\n'
            )
        failed = bkp("drill", "shop", config=site.station)
        assert failed.exit_code == 54, failed.errors
        assert '2 questions answered, 1 of them wrong (SELECT count(*) > 0 FROM "Odd Name": f)' in failed.errors


def test_amcheck_looks_through_tables_and_indexes_where_the_server_has_it(tmp_path: Path, limits: Limits) -> None:
    (programs,) = Path("/usr/lib/postgresql").glob("1[5-9]/bin")
    cluster = ScratchCluster(tmp_path / "scratch", programs, limits)
    cluster.make()
    with cluster.running():
        with session(cluster.login(), 300) as psql:
            psql.ask("CREATE TABLE t AS SELECT n FROM generate_series(1, 20000) n; CREATE INDEX odd_one ON t (n);")
            psql.ask("CHECKPOINT;")
            (file,), *_ = psql.ask("SELECT pg_relation_filepath('odd_one');")
        whole = check_structures(cluster.login(), limits)
        assert whole is not None
        assert (whole.looked_at > 50, whole.differing) == (True, 0)
    page = tmp_path / "scratch" / "cluster" / file
    with page.open("r+b") as index:
        index.seek(8192 * 3 + 4000)
        index.write(os.urandom(200))
    with cluster.running():
        found = check_structures(cluster.login(), limits)
        assert found is not None
        assert found.differing >= 1
        assert "odd_one" in " ".join(found.names)


def test_a_server_that_does_not_come_up_says_why(tmp_path: Path, limits: Limits) -> None:
    cluster = ScratchCluster(tmp_path / "scratch", folder_of(server_for_dump(POSTGRESQL, None, None)), limits)
    cluster.make()
    (tmp_path / "scratch" / "cluster" / "global" / "pg_control").write_bytes(bytes(8192))
    with pytest.raises(DrillFailed, match="did not start"), cluster.running():
        pass
