"""What is written down: settings, manifests, sheets, the journal, exit codes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import ConfigInvalid, KeyWrong, SetBusy, SignatureBad, exit_codes
from backup.keys.key import Key
from backup.keys.sheet import armour, draw_up, qr_texts, read_sheets
from backup.manifest import read_manifest, write_manifest
from backup.model import Counts, Kind, Manifest, Role, RunId, RunRecord, Status, VolumeRecord
from backup.retention import Rules
from backup.saving.journal import Journal
from backup.saving.state import state_table
from backup.settings.document import read_settings

_AT = datetime(2026, 11, 21, 4, 16, tzinfo=UTC)
_DOCS = Path(__file__).parents[3] / "docs"
_MANIFEST = Manifest(
    host="web1", set="files", due_at=_AT, at=_AT, finished_at=_AT, kind=Kind.FULL, reason="the first of this set",
    chain="20261121T041600Z", position=0, previous=None, source="paths",
    volumes=(VolumeRecord(name="duplicity-x.gpg", role=Role.VOLUME, size_bytes=3, sha256="a" * 64, sha1="b" * 40),),
    recipients=("A" * 40,), signer="B" * 40,
    counts=Counts(entries=1, bytes=2, changed_bytes=3, unreadable_names=("ü",)),
    consistency={"rows": {"public.a": 1}}, software={"duplicity": "3.2.1"},
)  # fmt: skip
_KEY = Key(
    fingerprint="C" * 40, name="s (watchkeep station)", made_at=_AT, expires_at=None, has_secret=True,
    can_encrypt=True, can_sign=True,
)  # fmt: skip


def test_a_manifest_reads_back_as_it_was_written() -> None:
    assert read_manifest(write_manifest(_MANIFEST)) == _MANIFEST


def test_a_manifest_of_parts_is_of_another_form_so_that_nobody_takes_one_part_for_all() -> None:
    (volume,) = _MANIFEST.volumes
    names = [f"part-{number}/{volume.name}" for number in (10, 2, 1)]
    manifest = replace(_MANIFEST, volumes=tuple(replace(volume, name=name) for name in names))
    text = write_manifest(manifest)
    assert '"form": "watchkeep-backup-2"' in text
    assert read_manifest(text) == manifest
    assert manifest.parts == ("part-1", "part-2", "part-10")
    assert '"form": "watchkeep-backup-1"' in write_manifest(_MANIFEST)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("watchkeep-backup-1", "watchkeep-backup-9"),
        ('"duplicity-x.gpg"', '"../../etc/passwd"'),
        ('"duplicity-x.gpg"', '"duplicity-../../x"'),
        ('"duplicity-x.gpg"', '"part-17/duplicity-x.gpg"'),
        ('"duplicity-x.gpg"', '"part-1/../duplicity-x.gpg"'),
        ('"duplicity-x.gpg"', f'"duplicity-{"x" * 246}"'),
        ('"duplicity-x.gpg"', f'"part-1/duplicity-{"é" * 123}"'),
        ('"previous": null', f'"previous": "20261121T041600Z.{"x" * 240}"'),
        ('"20261121T041600Z"', '"../../elsewhere"'),
        ('"position": 0', '"position": "first"'),
        ("+00:00", ""),
        ("{", "["),
        ('"signer"', '"singer"'),
    ],
)
def test_a_text_that_is_no_manifest_is_refused(old: str, new: str) -> None:
    with pytest.raises(SignatureBad):
        read_manifest(write_manifest(_MANIFEST).replace(old, new))


def test_a_manifest_may_name_files_as_long_as_file_systems_take() -> None:
    (volume,) = _MANIFEST.volumes
    volumes = (replace(volume, name=f"duplicity-{'x' * 245}"), replace(volume, name=f"part-16/duplicity-{'x' * 245}"))
    assert read_manifest(write_manifest(replace(_MANIFEST, volumes=volumes))).volumes == volumes


@given(st.binary(min_size=1, max_size=900))
def test_a_sheet_reads_back_from_its_text_and_from_its_codes_in_any_order(packets: bytes) -> None:
    sheet = draw_up(_KEY, armour(packets), "station1", Path("/srv/station.passphrase"))
    assert read_sheets(sheet.text) == read_sheets("\n".join(reversed(qr_texts(sheet)))) == [armour(packets)]
    assert max(map(len, sheet.text.splitlines())) <= 80  # on paper and terminals no line is broken


@given(st.binary(min_size=60, max_size=300), st.data())
def test_a_mistyped_line_of_a_sheet_is_named(packets: bytes, data: st.DataObject) -> None:
    sheet = draw_up(_KEY, armour(packets), "station1", Path("/srv/station.passphrase"))
    place = data.draw(st.integers(0, len(sheet.lines) - 1))
    spot = sheet.lines[place].index(":") + 2
    line = sheet.lines[place]
    wrong = line[:spot] + ("A" if line[spot] != "A" else "B") + line[spot + 1 :]
    with pytest.raises(KeyWrong, match=rf"^line {place + 1} is mistyped$"):
        read_sheets("\n".join([*sheet.lines[:place], wrong, *sheet.lines[place + 1 :]]))


def test_a_missing_line_of_a_sheet_is_named() -> None:
    sheet = draw_up(_KEY, armour(bytes(200)), "station1", Path("/srv/station.passphrase"))
    with pytest.raises(KeyWrong, match="line 2 is missing"):
        read_sheets("\n".join([sheet.lines[0], *sheet.lines[2:]]))
    with pytest.raises(KeyWrong, match="no line"):
        read_sheets("nothing of the kind")


def test_every_sheet_of_a_text_is_read_typed_or_as_it_was_printed() -> None:
    sheets = [draw_up(_KEY, armour(bytes([number]) * 300), "station1", Path("/srv/p")) for number in (1, 2)]
    both = [armour(bytes([number]) * 300) for number in (1, 2)]
    assert read_sheets("\n\f\n".join(sheet.text for sheet in sheets)) == both
    typed = [line for sheet in sheets for line in sheet.lines]
    assert read_sheets("\n".join(typed)) == both
    assert read_sheets("\n".join(typed * 2)) == both  # the same once more is no other sheet
    with pytest.raises(KeyWrong, match=r"sheet 2: line 3 is missing$"):
        read_sheets("\n".join(line for line in typed if line is not sheets[1].lines[2]))


def _settings(folder: Path, text: str) -> Path:
    file = folder / "backup.toml"
    file.write_text(text)
    return file


_GOOD = """
host = "web1"
[[targets]]
name = "store"
kind = "folder"
folder = "store"
[[sets]]
name = "files"
target = "store"
paths.roots = ["data", "/etc"]
"""


def test_every_path_counts_from_the_files_folder_defaults_too(tmp_path: Path) -> None:
    settings = read_settings(_settings(tmp_path, _GOOD))
    assert settings.work == tmp_path / "work"
    assert settings.keys.host == tmp_path / "keys/host"
    assert settings.find_target("store").folder == tmp_path / "store"
    chosen = settings.find_set("files")
    assert chosen.paths is not None
    assert chosen.paths.roots == (tmp_path / "data", Path("/etc"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('target = "store"', 'target = "nowhere"', "nowhere"),
        ('name = "files"', 'name = "../up"', "sets[0].name"),
        ('folder = "store"', "", "needs folder"),
        ('kind = "folder"', 'kind = "swift"', "auth_url, user, key_file, container"),
        ("[[sets]]", 'keys.station = "keys/host"\n[[sets]]', "keys"),
        ("paths.roots = [", 'postgresql.database = "x"\npaths.roots = [', "one source"),
        ('host = "web1"', 'host = "web1"\nkeys.recipients = ["abc"]', "fingerprints"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = _GOOD.replace(old, new, 1) if old != "[[sets]]" else 'keys.station = "keys/host"\n' + _GOOD
    with pytest.raises(ConfigInvalid, match=re.escape(words)):
        read_settings(_settings(tmp_path, text))


def _record(number: int, status: Status = Status.OK, size: int = 100) -> RunRecord:
    return RunRecord(
        id=RunId(set="files", due_at=_AT + timedelta(days=number)), status=status, started_at=_AT, pid=1,
        ended_at=_AT + timedelta(seconds=5), source_bytes=size,
    )  # fmt: skip


def test_a_run_that_was_killed_is_found_as_killed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "work", "files")
    running = replace(_record(1, Status.RUNNING), ended_at=None)
    with journal.locked():
        journal.write(running)
        assert journal.find(running.id) == running
    with Journal(tmp_path / "work", "files").locked():
        assert [record.id for record in journal.bury()] == [running.id]
        found = journal.find(running.id)
        assert found is not None
        assert found.status is Status.KILLED
        assert journal.bury() == []


def test_one_process_holds_a_sets_lock(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "work", "files").locked(),
        pytest.raises(SetBusy),
        Journal(tmp_path / "work", "files").locked(),
    ):
        pass


def test_the_journal_keeps_the_newest_two_hundred_and_passes_over_damage(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "work", "files")
    for number in range(205):
        journal.write(_record(number))
    (journal.folder / "runs" / "20300101T000000Z.json").write_text("{")
    newest = journal.newest()
    assert newest[0] == _record(204)
    assert len(list((journal.folder / "runs").iterdir())) == 201


def test_the_state_tells_the_last_run_the_last_good_one_and_what_is_usual() -> None:
    records = [_record(9, Status.FAILED), *(_record(9 - n, size=100 + n) for n in range(1, 10))]
    table = state_table("web1", records, restore_points=4, reminders=["x"], key_expires_at=None)
    assert table["last_run"]["status"] == "failed"
    assert table["last_good"]["due_at"] == (_AT + timedelta(days=8)).isoformat()
    assert table["usual_bytes"] == 108  # the most of the seven before the last good one
    assert (table["restore_points"], table["reminders"]) == (4, ["x"])


def test_the_documents_table_of_exit_codes_is_the_programs() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", (_DOCS / "backup.md").read_text(), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == exit_codes()


def test_the_documents_pruner_can_be_used_as_it_stands_there(tmp_path: Path) -> None:
    text = (_DOCS / "backup-retention.md").read_text()
    (sample,) = re.findall(r"```toml\n(host = \"pruner1\".*?)```", text, re.DOTALL)
    settings = read_settings(_settings(tmp_path, sample))
    assert settings.demand_pruner().retention.rules == Rules(within=timedelta(days=2), daily=7, weekly=4, monthly=6)
    own = settings.find_set("shop").retention
    assert own is not None
    assert own.rules == Rules(monthly=24)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('[keys]\nstation = "s"\n[pruner]\n', "decryption key"),
        ('[pruner]\nstrays_after = "12h"\n', "strays_after"),
        ("[pruner]\nretention.keep_daily = -1\n", "keep_daily"),
        ('[marks]\nname = "m"\nkind = "folder"\n', "needs folder"),
    ],
)
def test_a_pruner_that_would_be_a_danger_is_refused(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=re.escape(words)):
        read_settings(_settings(tmp_path, f"{_GOOD}{lines}"))
