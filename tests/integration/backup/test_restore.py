"""What was saved comes back as it was: from a folder and from a real Swift, by the key alone, with an empty cache."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backup.settings.document import read_settings
from tests.support.backup_site import bkp, bkp_ok, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.grown_backups import Grown

PLACES = {"folder": "web1/files", "swift": "web1/cloud"}


@contextmanager
def new_machine() -> Iterator[Path]:
    """A folder for keys; its path is short, since gpg's socket lies in the key folder."""
    folder = Path(tempfile.mkdtemp(prefix="bkp-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("target", PLACES)
def test_a_chain_has_a_full_and_two_incrementals_and_no_decryption_key_was_on_the_host(
    grown: Grown, target: str
) -> None:
    assert [point["kind"] for point in grown.points(target)] == ["full", "incremental", "incremental"]
    assert all(point["broken"] is None for point in grown.points(target))
    assert not list((grown.site.folder / "host").rglob("*safe*"))


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("number", [2, 0])
def test_everything_comes_back_byte_identical_as_of_the_newest_and_of_an_earlier_time(
    grown: Grown, target: str, number: int, tmp_path: Path
) -> None:
    at = grown.points(target)[number]["at"]
    made = bkp_ok("restore", PLACES[target], *grown.at(target), "--at", at, "--to", str(tmp_path / "back"),
                  config=grown.site.station)  # fmt: skip
    assert made["at"] == at
    assert fingerprint(tmp_path / "back" / grown.inside) == fingerprint(grown.looks[number])
    work = grown.site.folder / "station" / "work"
    assert list(work.iterdir()) == []  # what was decrypted on the way did not stay


@pytest.mark.parametrize("target", PLACES)
def test_one_file_comes_back_as_it_was_between_two_runs(grown: Grown, target: str, tmp_path: Path) -> None:
    at = grown.points(target)[1]["at"]
    made = bkp_ok("restore", PLACES[target], *grown.at(target), "--at", at, "--path", f"{grown.inside}/large.bin",
                  "--to", str(tmp_path), config=grown.site.station)  # fmt: skip
    assert made["to"] == str(tmp_path / "large.bin")
    assert (tmp_path / "large.bin").read_bytes() == (grown.looks[1] / "large.bin").read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["large.bin"]


def test_a_folder_and_a_key_are_enough_on_a_machine_that_knows_nothing_else(grown: Grown, tmp_path: Path) -> None:
    carried = tmp_path / "carried"
    shutil.copytree(grown.site.folder / "target-store", carried)
    options = ["--target", str(carried), "--key", str(grown.site.station_keys), "--work", str(tmp_path / "work")]
    nowhere = {"HOME": str(tmp_path), "BKP_CONFIG": ""}
    listed = bkp("list", *options, "--json", environment=nowhere)
    assert [(each["host"], each["set"], len(each["points"])) for each in listed.document["sets"]] == [
        ("web1", "files", 3)
    ]
    shown = bkp("ls", "web1/files", grown.inside, *options, "--json", environment=nowhere)
    assert {each["path"].rpartition("/")[2] for each in shown.document["files"]} == {
        "etc", "large.bin", "later", "newest", "not utf-8 \\xff'", "program"
    }  # fmt: skip
    restored = bkp(
        "restore", "web1/files", "--path", f"{grown.inside}/etc", "--to", str(tmp_path), *options, environment=nowhere
    )
    assert restored.exit_code == 0, restored.errors
    assert (tmp_path / "etc" / "hosts").read_text() == "127.0.0.1 localhost\n10.0.0.1 db1\n"


def test_a_swift_is_named_on_the_command_line_with_nothing_but_its_settings(grown: Grown, tmp_path: Path) -> None:
    swift = next(each for each in read_settings(grown.site.station).targets if each.kind == "swift")
    options = ["--from", "swift", "--keys", str(grown.site.station_keys), "--work", str(tmp_path / "work")]
    for name in ("auth_url", "user", "key_file", "container"):
        options += ["--with", f"{name}={getattr(swift, name)}"]
    nowhere = {"HOME": str(tmp_path), "BKP_CONFIG": "", "WATCHKEEP_DATA": str(tmp_path)}
    listed = bkp("list", *options, "--json", environment=nowhere)
    assert [(each["host"], each["set"], len(each["points"])) for each in listed.document["sets"]] == [
        ("web1", "cloud", 3)
    ]
    lacking = bkp("list", *options[:-2], environment=nowhere)
    assert (lacking.exit_code, "needs container" in lacking.errors) == (3, True), lacking.errors
    wrong = bkp("list", *options, "--with", "kontainer=x", environment=nowhere)
    assert (wrong.exit_code, "container" in wrong.errors) == (3, True)


def test_the_printed_sheet_and_the_passphrase_are_enough_on_a_new_machine(grown: Grown, tmp_path: Path) -> None:
    printed = bkp("key", "escrow", config=grown.site.station)
    assert f"    {grown.site.station_keys}.passphrase\n" in printed.output
    nowhere = {"HOME": str(tmp_path), "BKP_CONFIG": "", "WATCHKEEP_DATA": str(tmp_path)}
    sheet = tmp_path / "sheet.txt"
    sheet.write_text(printed.output)
    with new_machine() as machine:
        key = machine / "my.station"
        imported = bkp("key", "import", str(sheet), "--key", str(key), environment=nowhere)
        assert imported.exit_code == 0, imported.errors
        assert f"{key}.passphrase" in imported.output
        shutil.copy(f"{grown.site.station_keys}.passphrase", f"{key}.passphrase")
        restored = bkp(
            "restore", "web1/files", "--path", f"{grown.inside}/etc", "--to", str(tmp_path), "--key", str(key),
            "--target", str(grown.site.folder / "target-store"), environment=nowhere,
        )  # fmt: skip
    assert restored.exit_code == 0, restored.errors
    assert (tmp_path / "etc" / "hosts").read_text() == "127.0.0.1 localhost\n10.0.0.1 db1\n"


def test_a_station_that_trusts_no_host_is_told_what_to_import_by_every_command(grown: Grown, tmp_path: Path) -> None:
    with new_machine() as machine:
        (machine / "station").mkdir(mode=0o700)
        options = ["--target", str(grown.site.folder / "target-store"), "--key", str(machine / "station")]
        for command in (["list"], ["list", "web1/files"], ["restore", "web1/files", "--to", str(tmp_path / "back")]):
            told = bkp(*command, *options)
            assert told.exit_code == 10
            assert f"bkp key import SHEET --key {machine / 'station'}" in told.errors
            assert "trusted" not in told.output


def test_a_point_that_lost_a_volume_names_the_file_and_the_way_on(grown: Grown, tmp_path: Path) -> None:
    carried = tmp_path / "carried"
    shutil.copytree(grown.site.folder / "target-store", carried)
    gone = next(carried.rglob("duplicity-full.*.vol1.*"))
    gone.unlink()
    options = ["--target", str(carried), "--key", str(grown.site.station_keys), "--work", str(tmp_path / "work")]
    told = bkp("restore", "web1/files", *options, "--to", str(tmp_path / "back"))
    assert told.exit_code == 23, told.errors
    assert str(gone.relative_to(carried)) in told.errors
    assert "bkp verify" in told.errors
    assert "duplicity ended" not in told.errors
    assert not (tmp_path / "back").exists()


def test_a_flipped_volume_is_told_as_clearly_noted_and_marked_in_the_list(grown: Grown, tmp_path: Path) -> None:
    carried = tmp_path / "carried"
    shutil.copytree(grown.site.folder / "target-store", carried)
    flipped = max(carried.rglob("duplicity-inc.*.vol1.*"))
    content = flipped.read_bytes()
    flipped.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    options = ["--target", str(carried), "--key", str(grown.site.station_keys), "--work", str(tmp_path / "work")]
    told = bkp("restore", "web1/files", *options, "--to", str(tmp_path / "back"))
    assert told.exit_code == 24, told.errors
    assert str(flipped.relative_to(carried)) in told.errors
    assert "bkp verify" in told.errors
    assert "--at 20" in told.errors
    assert "duplicity ended" not in told.errors
    (note,) = (carried / "web1" / "files" / "damage").iterdir()
    assert flipped.name in note.read_text()
    assert "duplicity ended" not in note.read_text()
    listed = bkp("list", "web1/files", *options)
    assert (listed.exit_code, "DAMAGED" in listed.output) == (0, True), listed.output


def test_what_cannot_be_asked_for_is_said_with_the_way_on_before_anything_is_fetched(
    grown: Grown, tmp_path: Path
) -> None:
    store, back = str(grown.site.folder / "target-store"), str(tmp_path / "back")
    nowhere = {"HOME": str(tmp_path), "BKP_CONFIG": "", "WATCHKEEP_DATA": str(tmp_path)}
    lacking = bkp("list", "--target", store, environment=nowhere)
    assert (lacking.exit_code, "--key KEYFOLDER" in lacking.errors) == (3, True), lacking.errors
    options = ["--target", store, "--key", str(grown.site.station_keys), "--to", back]
    unknown = bkp("restore", "web1/filez", *options, environment=nowhere)
    assert (unknown.exit_code, "web1/files" in unknown.errors) == (50, True), unknown.errors
    mistyped = bkp("list", "web1/filez", *options[:4], environment=nowhere)
    assert (mistyped.exit_code, "web1/files" in mistyped.errors) == (50, True), mistyped.errors
    no_dump = bkp("restore", "web1/files", *options, "--into-database", "postgresql://nowhere/x", environment=nowhere)
    assert (no_dump.exit_code, "no database dump" in no_dump.errors) == (51, True), no_dump.errors
    assert not (tmp_path / "back").exists()


def test_what_is_there_stays_unless_overwriting_is_asked_for(grown: Grown, tmp_path: Path) -> None:
    mine = tmp_path / "hosts"
    mine.write_text("mine")
    wanted = [
        "restore",
        "web1/files",
        "--target",
        "store",
        "--path",
        f"{grown.inside}/etc/hosts",
        "--to",
        str(tmp_path),
    ]
    refused = bkp(*wanted, config=grown.site.station)
    assert refused.exit_code == 52
    assert "--overwrite" in refused.errors
    assert mine.read_text() == "mine"
    replaced = bkp(*wanted, "--overwrite", config=grown.site.station)
    assert replaced.exit_code == 0, replaced.errors
    assert "db1" in mine.read_text()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--path", "../../etc/shadow"], 51),
        (["--path", "no/such/file"], 51),
        (["--path=-rf"], 51),
        (["--at", "2020-01-01"], 50),
        (["--at", "soon"], 2),
    ],
)
def test_what_cannot_be_restored_ends_with_its_own_code_and_leaves_nothing_behind(
    grown: Grown, options: list[str], code: int, tmp_path: Path
) -> None:
    to = tmp_path / "to"
    ended = bkp("restore", "web1/files", "--target", "store", "--to", str(to), *options, config=grown.site.station)
    assert ended.exit_code == code, ended.errors
    assert list(tmp_path.iterdir()) == []


def test_a_host_without_the_stations_key_can_list_but_not_restore(grown: Grown, tmp_path: Path) -> None:
    assert len(bkp_ok("list", "files", config=grown.site.host)["points"]) == 3
    refused = bkp("restore", "files", "--to", str(tmp_path / "to"), config=grown.site.host)
    assert refused.exit_code == 10
    assert "no decryption key" in refused.errors


def test_a_restore_that_cannot_write_every_file_fails_and_leaves_nothing_behind(grown: Grown, tmp_path: Path) -> None:
    place = tmp_path
    while (room := 4057 - len(str(place))) > 1:  # its files would have longer paths than there can be
        place /= "d" * min(200, room - 1)
    place.mkdir(parents=True)
    ended = bkp("restore", "web1/files", "--target", "store", "--to", str(place / "to"), config=grown.site.station)
    assert ended.exit_code == 40, ended.errors
    assert "could not be restored" in ended.errors
    assert not list(place.iterdir())
