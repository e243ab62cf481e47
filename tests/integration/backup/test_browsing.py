"""Files are found in restore points, listed with their sizes and compared, without fetching any data."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support.backup_site import CHECKOUT, bkp, bkp_ok

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.grown_backups import Grown

_SET = "web1/files"


def ask(grown: Grown, *arguments: str) -> Any:
    return bkp_ok(*arguments, *grown.at("folder"), config=grown.site.station)


def instants(grown: Grown) -> list[str]:
    return [point["at"] for point in grown.points("folder")]


def test_a_file_is_found_with_each_look_it_had_and_the_points_that_hold_it(grown: Grown) -> None:
    first, second, third = instants(grown)
    (found,) = ask(grown, "find", "HOSTS", "-i")["sets"][0]["found"]
    assert found["path"] == f"{grown.inside}/etc/hosts"
    assert [version["points"] for version in found["versions"]] == [[first], [second, third]]
    (large,) = ask(grown, "find", f"{grown.inside}/large*")["sets"][0]["found"]
    assert all(each["least_bytes"] <= 1_500_000 <= each["most_bytes"] for each in large["versions"])
    (gone,) = ask(grown, "find", "*laut name", "--at", first)["sets"][0]["found"]
    assert gone["versions"][0]["points"] == [first]
    missing = bkp("find", "etc/hosts", "--at", third, *grown.at("folder"), config=grown.site.station)
    assert (missing.exit_code, "'*/etc/hosts'" in missing.errors) == (51, True), missing.errors


def test_a_name_of_odd_bytes_comes_back_by_the_command_that_is_printed_and_by_what_json_says(
    grown: Grown, tmp_path: Path
) -> None:
    printed = bkp("find", "not utf-8*", *grown.at("folder"), config=grown.site.station).errors
    command = printed[printed.index("bkp restore") :].replace("FOLDER", str(tmp_path)).replace("bkp ", "", 1)
    more = shlex.join([*grown.at("folder"), "--config", str(grown.site.station)])
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m backup.command {command.strip()} {more}"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / os.fsdecode(b"not utf-8 \xff")).read_text() == "odd"
    (found,) = ask(grown, "find", "not utf-8*")["sets"][0]["found"]
    assert [each["path"] for each in ask(grown, "ls", _SET, found["path"])["files"]] == [found["path"]]


def test_the_two_places_that_a_set_may_lie_at_are_searched_alike(grown: Grown) -> None:
    there = bkp_ok("find", "newest", "--set", "web1/cloud", *grown.at("swift"), config=grown.site.station)
    assert [each["path"] for each in there["sets"][0]["found"]] == [f"{grown.inside}/newest"]


def test_two_points_differ_in_exactly_what_was_done_between_them(grown: Grown) -> None:
    first, _, third = instants(grown)
    told = ask(grown, "diff", _SET, first, third, "--path", grown.inside)
    names = {each["path"].removeprefix(f"{grown.inside}/"): (each["how"], each["why"]) for each in told["differences"]}
    assert names == {
        "empty folder": ("removed", []),
        "ümlaut name": ("removed", []),
        "etc/hosts": ("changed", names["etc/hosts"][1]),
        "large.bin": ("changed", names["large.bin"][1]),
        "later": ("added", []),
        "newest": ("added", []),
    }
    assert "content" in names["etc/hosts"][1]
    assert ask(grown, "diff", _SET, third, third)["differences"] == []


def test_a_folder_is_held_against_what_was_saved(grown: Grown, tmp_path: Path) -> None:
    first, _, third = instants(grown)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(grown.looks[2]), str(copy)], check=True, timeout=300)
    path = ["--path", grown.inside]
    assert ask(grown, "diff", _SET, third, str(copy), *path)["differences"] == []
    assert ask(grown, "diff", _SET, third, "/")["differences"] == []  # the host's own files, as they are
    assert ask(grown, "diff", _SET, first, str(copy), *path)["removed"] == 2
    (copy / "program").chmod(0o644)
    (copy / "large.bin").write_bytes(b"short")
    shutil.rmtree(copy / "etc")
    told = ask(grown, "diff", _SET, third, str(copy), *path)["differences"]
    seen = {each["path"].removeprefix(f"{grown.inside}/"): (each["how"], tuple(each["why"])) for each in told}
    assert seen["program"] == ("changed", ("mode",))
    assert "content" in seen["large.bin"][1]
    assert seen["etc/hosts"][0] == seen["etc"][0] == "removed"


def test_a_list_of_files_that_is_not_the_signed_one_is_not_believed(grown: Grown, tmp_path: Path) -> None:
    carried = shutil.copytree(grown.site.folder / "target-store", tmp_path / "carried")
    full = next(carried.rglob("duplicity-full-signatures.*"))
    content = full.read_bytes()
    full.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for command in (["find", "hosts"], ["ls", _SET]):
        told = bkp(*command, "--target", str(carried), config=grown.site.station)
        assert told.exit_code == 24, told.errors
        assert full.name in told.errors


def test_sets_are_listed_with_what_they_save(grown: Grown) -> None:
    rows = bkp_ok("sets", config=grown.site.host)["sets"]
    assert [(row["set"], row["source"], row["roots"], row["is_configured"]) for row in rows] == [
        ("cloud", "paths", [str(grown.data)], True),
        ("files", "paths", [str(grown.data)], True),
    ]
    assert {row["is_configured"] for row in bkp_ok("sets", config=grown.site.station)["sets"]} == {False}
