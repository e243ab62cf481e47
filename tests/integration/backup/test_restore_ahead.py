"""What a restore would do is told beforehand, and what an interrupted one left is told afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from tests.support.backups import CHECKOUT, SET
from tests.support.holding import DECRYPTING, HeldGpg

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.backups import Site


def ahead(site: Site, *options: str, exit_code: int = 0) -> Any:
    done = site.bkp("station", "restore", SET, "--dry-run", "--json", *options)
    assert done.returncode == exit_code, done.stderr
    return json.loads(done.stdout)


def test_the_files_that_are_told_to_be_fetched_are_enough_and_nothing_is_written(site: Site) -> None:
    site.run()
    to = site.folder / "to"
    whole = ahead(site, "--to", str(to))
    assert (whole["files"], whole["replaced"], whole["missing"], whole["has_room"]) == (3, 0, [], True)
    assert whole["most_bytes"] >= 5 << 19
    assert sum(each["bytes"] for each in whole["fetched"]) == sum(
        path.stat().st_size for path in site.chains.rglob("*") if path.is_file() and ".sigtar" not in path.name
    )
    path = ["--path", f"{str(site.data)[1:]}/deep/er/words", "--to", str(to)]
    part = ahead(site, *path)
    names = {each["name"].rpartition("/")[2] for each in part["fetched"]}
    assert (part["files"], part["to"]) == (1, str(to / "words"))
    assert not to.exists()
    away = [file for file in site.chains.rglob("*.vol*") if file.name not in names]
    assert away
    for file in away:
        file.rename(site.folder / file.name)
    assert ahead(site, "--to", str(to), exit_code=23)["missing"]
    restored = site.bkp("station", "restore", SET, *path, "--as", "words.old")
    assert restored.returncode == 0, restored.stderr
    assert [file.name for file in to.iterdir()] == ["words.old"]
    assert (to / "words.old").read_text() == "first\n"
    assert ahead(site, *path, "--as", "words.old", exit_code=52)["replaced"] == 1
    assert ahead(site, *path, "--as", "words.old", "--overwrite")["replaced"] == 1


def test_a_restore_that_is_interrupted_says_that_nothing_is_there_and_leaves_nothing(site: Site) -> None:
    site.run()
    to = site.folder / "place" / "to"
    to.parent.mkdir()
    with HeldGpg(site.folder, DECRYPTING) as held:
        restoring = subprocess.Popen(
            site.command("station", "restore", SET, "--to", str(to)), cwd=CHECKOUT, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=held.environment,
        )  # fmt: skip
        held.wait("a restore that has begun")
        assert any(to.parent.iterdir())
        restoring.send_signal(signal.SIGINT)
        _, said = restoring.communicate(timeout=240)
    assert restoring.returncode == 130, said
    assert f"{to} is as it was: nothing was put there" in said
    assert list(to.parent.iterdir()) == []
    assert not any((site.folder / "station/work").iterdir())


def test_a_set_of_another_host_comes_back_on_this_one(site: Site, tmp_path: Path) -> None:
    site.run()
    moved = site.store / "db9" / "other"
    shutil.copytree(site.points.parent, moved)
    refused = site.bkp("station", "restore", "db9/other", "--to", str(tmp_path / "to"))
    assert refused.returncode == 10  # nobody is trusted to sign for db9: what was put there is not believed
    done = site.bkp("station", "restore", f"web1/{SET}", "--to", str(tmp_path / "to"), "--as", "of web1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "to" / "of web1" / str(site.data)[1:] / "deep" / "er" / "words").read_text() == "first\n"
