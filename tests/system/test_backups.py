"""`watchkeep up` keeps its own database and configuration, and a backup that fails becomes a problem."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.runtime.account import account_for
from tests.support.backup_site import CHECKOUT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.api import Api
    from tests.system.installation import LocalWatchkeep

WAIT_SECONDS = 300.0
SETS = ("watchkeep-database", "watchkeep-files")


def run(installation: LocalWatchkeep, name: str) -> int:
    """Save a set as the installation's agent would, now."""
    return installation.bkp("run", name, "--json", config=installation.data / "backup" / "backup.toml").returncode


def drill_own(installation: LocalWatchkeep, *names: str) -> subprocess.CompletedProcess[str]:
    """Drill sets as the agent of the installation's restore station would."""
    return installation.bkp("drill", *names, "--json", config=installation.data / "restore-station" / "backup.toml")


def open_problems(api: Api) -> set[str]:
    return {each["name"] for each in api.get("/problems")["problems"]}


def sets_of(api: Api) -> dict[str, Any]:
    return {each["set"]: each for each in api.get("/backups")["backups"]}


def is_saved(shown: Any) -> bool:
    """Whether a set's last run is shown as good, with what it made: values come one after the other."""
    return bool(shown) and shown["last_run"]["status"] == "ok" and bool(shown["restore_points"])


def is_proven(shown: Any) -> bool:
    """Whether a set is shown as proven, with all there is to say of that."""
    drill = shown["drill"] or {}
    return bool(shown["proven_at"] and drill.get("status") == "proven" and (drill.get("restore_seconds") or 0) > 0)


def pruned_sets(api: Api) -> float:
    """Return how many chains the last prune left, by its item."""
    items = api.get("/items", search="pruning.chains_staying")["items"]
    return max((each["value"] or 0.0 for each in items), default=0.0)


def failed(api: Api) -> set[str]:
    """Return the sets whose failure is an open problem."""
    problems = api.get("/problems")["problems"]
    return {each["parameter"] for each in problems if each["name"].endswith(" failed")}


def test_its_own_database_and_files_are_saved_and_one_that_fails_is_a_problem_until_it_succeeds(
    running: LocalWatchkeep,
) -> None:
    api = running.api()
    assert "no second place" in running.output
    assert "bkp key escrow" in running.output
    for name in SETS:
        assert run(running, name) == 0
    wait_until(
        lambda: all(is_saved(sets_of(api).get(name)) for name in SETS),
        WAIT_SECONDS,
        "both saved",
    )
    target, aside = running.data / "backup-target", running.data / "backup-target.aside"
    target.rename(aside)
    target.write_text("a file where the folder was")
    try:
        assert run(running, SETS[1]) in range(20, 25)
        wait_until(lambda: failed(api) == {SETS[1]}, WAIT_SECONDS, "a problem")
    finally:
        target.unlink()
        aside.rename(target)
    assert run(running, SETS[1]) == 0
    wait_until(lambda: not failed(api), WAIT_SECONDS, "the problem's end")


def test_a_file_of_it_is_found_over_the_api_and_no_key_that_decrypts_is_on_the_hosts_side(
    running: LocalWatchkeep,
) -> None:
    api = running.api()
    if not sets_of(api).get(SETS[1], {}).get("restore_points"):
        assert run(running, SETS[1]) == 0
    wait_until(lambda: bool(sets_of(api).get(SETS[1], {}).get("restore_points")), WAIT_SECONDS, "its restore point")
    host = sets_of(api)[SETS[1]]["host"]
    station = running.data / "restore-station"
    assert api.get("/backups")["station_config"] == str(station / "backup.toml")
    account = account_for(running.data, [Path(sys.executable)])
    with tempfile.TemporaryDirectory() as work:
        Path(work).chmod(0o777)
        kept = subprocess.run(
            [*account.prefix, sys.executable, "-m", "backup.command", "restore", f"{host}/{SETS[1]}",
             "--to", f"{work}/back", "--work", f"{work}/work", "--target", str(running.data / "backup-target"),
             "--key", str(station / "keys")],
            cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert kept.returncode == 0, kept.stderr
    points = api.get(f"/backups/{host}/{SETS[1]}/points")["points"]
    inside = str(running.data).lstrip("/")
    found = api.get(f"/backups/{host}/{SETS[1]}/files", path=inside, at=points[0]["at"])["files"]
    assert {"agent-identity.json", "keys", "secrets"} <= {each["name"] for each in found}
    secret = subprocess.run(
        ["gpg", "--homedir", str(running.data / "backup" / "keys"), "--batch", "--with-colons", "--list-secret-keys"],
        check=True, capture_output=True, text=True, timeout=300, env=os.environ | {"LC_ALL": "C"},
    ).stdout  # fmt: skip
    capabilities = [line.split(":")[11] for line in secret.splitlines() if line.startswith(("sec", "ssb"))]
    assert capabilities
    assert not any("e" in each.lower() for each in capabilities)


def test_watchkeep_is_rebuilt_from_its_own_sets_as_a_drill_and_shown_as_proven(running: LocalWatchkeep) -> None:
    """B13: the database starts from the restored dump, with migrations this version knows and rows as counted."""
    api = running.api()
    assert "proven weekly sunday" in running.output
    for name in SETS:
        assert run(running, name) == 0
    done = drill_own(running)
    assert done.returncode == 0, done.stdout + done.stderr
    told = {row["set"].partition("/")[2]: row["drill"] for row in json.loads(done.stdout)["sets"]}
    checks = {check["what"].partition(" with")[0]: check for check in told[SETS[0]]["checks"]}
    assert checks["questions answered"]["looked_at"] == 3
    assert checks["tables"]["looked_at"] > 30
    assert not any(check["differing"] for drill in told.values() for check in drill["checks"])
    wait_until(lambda: all(is_proven(sets_of(api)[name]) for name in SETS), WAIT_SECONDS, "both shown as proven")
    assert sets_of(api)[SETS[0]]["drill"]["station"] == running.host
    points = api.get(f"/backups/{running.host}/{SETS[0]}/points")["points"]
    assert next(iter(points))["proven_at"] is not None

    files = f"{running.host}/{SETS[1]}"
    volume = max((running.data / "backup-target" / files).rglob("*.difftar.gpg"), key=lambda path: path.stat().st_mtime)
    aside = volume.rename(volume.with_name("aside"))
    assert drill_own(running, files).returncode == 23
    wait_until(lambda: f"Drill of {files} failed" in open_problems(api), WAIT_SECONDS, "a problem")
    aside.rename(volume)
    assert drill_own(running, files).returncode == 0
    wait_until(lambda: f"Drill of {files} failed" not in open_problems(api), WAIT_SECONDS, "the problem's end")


def test_its_pruner_is_a_role_of_its_own_that_keeps_what_was_saved(running: LocalWatchkeep) -> None:
    assert "kept for 7 days, 4 weeks and 6 months" in running.output
    assert run(running, SETS[1]) == 0
    config = running.data / "pruner" / "backup.toml"
    for command, codes in ((["prune", "--yes", "--json"], {0}), (["doctor"], {0, 1}), (["key", "test"], {0})):
        done = running.bkp(*command, config=config)
        assert done.returncode in codes, done.stdout + done.stderr
        if command[0] == "prune":
            end = json.loads(done.stdout.splitlines()[-1])
            assert end["chains_deleted"] == 0, done.stdout
            assert end["chains_staying"] >= 1
    wait_until(lambda: pruned_sets(running.api()) >= 1, WAIT_SECONDS, "the prune as an item")
