"""An older restore point is never taken for the newest: what cannot be used is named by every reader (and refused)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.backups import HOST, SET, change, demand_same

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.backups import Site

NAME = f"{HOST}/{SET}"
DRILLS = '[drills]\nscratch = "scratch"\nkeep_free = "1 MiB"\n'


def told(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> Any:
    assert ended.returncode == code, ended.stdout + ended.stderr
    for word in words:
        assert word in ended.stderr + ended.stdout, (word, ended.stdout + ended.stderr)
    return json.loads(ended.stdout.splitlines()[-1]) if ended.stdout.startswith("{") else None


def older_and_newer(site: Site) -> tuple[str, Path]:
    """Save twice; return the name of the older point, and the manifest of the newer one."""
    with site.file("station").open("a") as file:
        file.write(DRILLS)
    site.run()
    older = site.manifest()["at"]
    change(site.data / "deep" / "er" / "words", "second\n")
    site.run()
    return older, max(site.points.iterdir())


def test_every_reader_names_a_damaged_newest_manifest_and_a_restore_wants_the_older_point_asked_for(site: Site) -> None:
    older, newest = older_and_newer(site)
    newest.write_text(newest.read_text().replace('"entries": ', '"entries": 1'))
    back = site.folder / "back"
    refused = site.bkp("station", "restore", NAME, "--to", str(back))
    told(refused, 58, newest.name, "changed after it was signed", f"--at {older}")
    assert not back.exists()
    told(site.bkp("station", "drill", NAME), 58, newest.name, "Last proven: never")
    told(site.bkp("station", "list"), 0, newest.name, "changed after it was signed")
    for command in (["ls", NAME], ["find", "words"], ["diff", NAME, older], ["predict"], ["list"]):
        document = told(site.bkp("station", *command, "--json"), 0)
        found = document["sets"][0] if "sets" in document else document
        assert [each["name"] for each in found["refused"]] == [newest.name], command
    told(site.bkp("station", "doctor"), 2, newest.name, "bkp verify")
    told(site.bkp("station", "verify"), 53, newest.name)
    told(site.bkp("station", "restore", NAME, "--to", str(back), "--at", older), 0)
    assert next(back.rglob("words")).read_text() == "first\n"


def test_a_moment_whose_manifest_is_gone_is_not_restored_as_of_the_one_before(site: Site) -> None:
    _, gone = older_and_newer(site)
    at = site.manifest()["at"]
    site.run()
    gone.unlink()
    refused = site.bkp("station", "restore", NAME, "--to", str(site.folder / "back"), "--at", at)
    told(refused, 58, f"{gone.name}: it is missing at the target")


def test_a_host_with_a_new_key_is_no_damage_and_what_to_import_is_said(site: Site) -> None:
    site.run()
    told(site.bkp("host", "key", "rotate", "host"), 0)
    change(site.data / "deep" / "er" / "words", "second\n")
    site.run()
    newest, back = max(site.points.iterdir()), site.folder / "back"
    for command in (["restore", NAME, "--to", str(back)], ["list"], ["doctor"]):
        assert "bkp key import" in (ended := site.bkp("station", *command)).stderr + ended.stdout, command
        assert newest.name in ended.stderr + ended.stdout, command
    report = told(site.bkp("station", "verify", "--json"), 15)
    assert (report["sets"][0]["damages"], report["sets"][0]["lost"]) == ([], [])
    assert "bkp key import" in report["unread"][0]["error"]
    public = site.folder / "host.asc"
    public.write_text(site.bkp("host", "key", "export", "host").stdout)
    told(site.bkp("station", "key", "import", str(public)), 0)
    told(site.bkp("station", "restore", NAME, "--to", str(back)), 0)
    demand_same(back / str(site.data)[1:], site.data)


def test_odd_names_at_a_target_reach_no_terminal_as_they_are(site: Site) -> None:
    site.run()
    odd = "20990101T000000Z\x1b]0;"
    for folder in (site.points, site.points.with_name("holds"), next(site.chains.iterdir()), site.chains / odd):
        folder.mkdir(exist_ok=True)
        (folder / f"{odd}.json.asc").write_text("x")
        (folder / f"{odd}.json").write_text("x")
    site.add_pruner("[pruner.retention]\nkeep_points = 1")
    for role, *command in (("station", "verify"), ("pruner", "prune", "--dry-run"), ("host", "run", SET)):
        ended = site.bkp(role, *command)
        assert ended.returncode in (0, 53), ended.stderr
        assert "\x1b" not in ended.stdout + ended.stderr, command
        assert "\\x1b]0;" in ended.stdout + ended.stderr, command
