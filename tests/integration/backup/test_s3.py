"""A bucket of S3: the same promises, against the S3 API of a real Swift, and one that fails or lies."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from backup.chain import files_of_chain
from backup.errors import ConfigInvalid, ObjectMissing, TargetAway, TargetDiffers, TargetFull, TargetRefused
from backup.model import Kind, Status
from backup.settings.target import TargetSettings
from backup.targets import s3
from backup.targets.etag import EtagSum
from backup.targets.registry import open_target
from tests.support.backups import PLACE, SET, change, demand_same, fill, new_site
from tests.support.faulty_swift import FaultySwift
from tests.support.target_contract import TargetContract

if TYPE_CHECKING:
    from pathlib import Path

    from backup.errors import BackupError
    from backup.targets.contract import Target
    from tests.support.backups import Pairs
    from tests.support.faulty_swift import Fault
    from tests.support.swift import Swift


def _settings(swift: Swift, folder: Path, **changes: Any) -> TargetSettings:
    key_file = folder / "s3.key"
    key_file.write_text(changes.pop("key", swift.key) + "\n")
    values: dict[str, Any] = {
        "endpoint_url": f"http://127.0.0.1:{swift.port}", "user": swift.user, "bucket": swift.new_container(),
        "timeout": timedelta(seconds=60), "key_file": key_file,
    } | changes  # fmt: skip
    return TargetSettings(name="store", kind="s3", **values)


class TestS3(TargetContract):
    @pytest.fixture
    def settings(self, swift: Swift, tmp_path: Path) -> TargetSettings:
        return _settings(swift, tmp_path)

    def test_it_knows_a_files_md5(self, target: Target) -> None:
        target.write("m/d5", b"abc")
        assert target.stat("m/d5").md5 == "900150983cd24fb0d6963f7d28e17f72"

    def test_it_knows_the_md5_of_what_was_sent_in_parts(
        self, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3, "PART_BYTES", 5 << 20)
        content = os.urandom(11 << 20)
        (tmp_path / "sent").write_bytes(content)
        target.put("p/arts", tmp_path / "sent")
        stat, total = target.stat("p/arts"), EtagSum(5 << 20)
        for piece in target.read("p/arts"):
            total.update(piece)
        assert (stat.md5, stat.part_bytes, stat.size_bytes) == (total.text(), 5 << 20, len(content))
        assert total.text().endswith("-3")
        monkeypatch.setattr(s3, "PART_BYTES", 12 << 20)
        assert target.stat("p/arts").md5 is None, "parts of another size are somebody else's"

    def test_a_bucket_may_be_part_of_the_path_of_a_named_server(self, swift: Swift, tmp_path: Path) -> None:
        named = _settings(swift, tmp_path, endpoint_url=f"http://localhost:{swift.port}", path_style=True)
        with open_target(named) as target:
            target.reach()
            target.write("a/b", b"1")
            assert dict(target.files("a")) == {"b": 1}

    @pytest.mark.parametrize(("setting", "value"), [("key", "wrong"), ("user", "test:nobody")])
    def test_a_wrong_key_and_a_stranger_are_refused(
        self, swift: Swift, tmp_path: Path, setting: str, value: str
    ) -> None:
        settings = _settings(swift, tmp_path, **{setting: value})
        with open_target(settings) as target, pytest.raises(TargetRefused):
            target.reach()

    def test_nobody_there_is_away(self, swift: Swift, tmp_path: Path) -> None:
        settings = _settings(swift, tmp_path, endpoint_url="http://127.0.0.1:1", timeout=timedelta(seconds=1))
        with open_target(settings) as target, pytest.raises(TargetAway):
            target.reach()

    def test_a_key_file_that_is_missing_is_named(self, swift: Swift, tmp_path: Path) -> None:
        settings = _settings(swift, tmp_path)
        (tmp_path / "s3.key").unlink()
        with pytest.raises(ConfigInvalid, match=r"s3\.key"), open_target(settings):
            pass


def _toml(port: int, swift: Swift, host: str = "127.0.0.1", more: str = "") -> str:
    return (
        f'kind = "s3"\nendpoint_url = "http://{host}:{port}"\nuser = "{swift.user}"\nkey_file = "s3.key"\n'
        f'bucket = "{swift.new_container()}"\ntimeout = "60s"{more}'
    )


def test_a_full_and_an_incremental_of_two_duplicities_go_there_in_pieces_and_come_back(
    pairs: Pairs, swift: Swift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 << 20)
    with new_site(pairs, _toml(swift.port, swift, "localhost", "\npath_style = true")) as site:
        fill(site.data)
        (site.data / "large").write_bytes(os.urandom(6 << 20))
        site.cut_into(2)
        site.file("host").write_text(site.file("host").read_text().replace('"1MiB"', '"8MiB"'))
        for role in ("host", "station"):
            (site.folder / role / "s3.key").write_text(swift.key)
        assert site.run().status is Status.OK
        change(site.data / "empty", "no more")
        assert str(site.run().kind) == "incremental"
        back = site.folder / "back"
        restored = site.bkp("station", "restore", SET, "--to", str(back))
        assert restored.returncode == 0, restored.stderr
        demand_same(back / str(site.data)[1:], site.data)
        verified = site.bkp("station", "verify", SET, "--depth", "read", "--json")
        assert verified.returncode == 0, verified.stderr
        (report,) = json.loads(verified.stdout)["sets"]
        assert (report["files_read"], report["strays"]) == (2 * (2 * 2 + 2), []), "two lists and a volume of each part"
        with open_target(site.settings().find_target("store")) as target:
            names = [f"{PLACE.chain(chain)}/{name}" for chain in target.folders(PLACE.chains)
                     for name in files_of_chain(target, PLACE, chain)]  # fmt: skip
            told = [target.stat(name).md5 for name in names]
        assert len([md5 for md5 in told if md5 and md5.endswith("-2")]) == 1
        assert None not in told


def test_a_host_that_may_not_delete_leaves_what_failed_and_goes_on(pairs: Pairs, swift: Swift) -> None:
    with FaultySwift(swift).running() as faulty, new_site(pairs, _toml(faulty.port, swift)) as site:
        fill(site.data)
        (site.folder / "host" / "s3.key").write_text(swift.key)
        faulty.refuses_deleting = True
        site.run()
        change(site.data / "deep" / "er" / "words", "more\n")
        faulty.path_part, faulty.fault = "/points/", "lost put"
        with pytest.raises((ObjectMissing, TargetDiffers)):
            site.run()
        faulty.fault = "none"
        record = site.run()
        assert faulty.kept
        assert (record.kind, record.status) == (Kind.FULL, Status.OK)
        assert "could not be removed" in (record.reason or "")


@pytest.mark.trial("B-2")
@pytest.mark.parametrize(
    ("fault", "path_part", "kinds"),
    [
        ("413", "difftar", (TargetFull,)),
        ("500", "difftar", (TargetAway,)),
        ("lost put", "vol2.difftar", (ObjectMissing, TargetAway, TargetDiffers)),
        ("lost put", "/points/", (ObjectMissing, TargetDiffers)),
    ],
)
def test_an_s3_that_fails_or_lies_makes_the_run_fail_loudly(
    pairs: Pairs, swift: Swift, fault: Fault, path_part: str, kinds: tuple[type[BackupError], ...]
) -> None:
    with FaultySwift(swift).running() as faulty, new_site(pairs, _toml(faulty.port, swift)) as site:
        fill(site.data)
        (site.folder / "host" / "s3.key").write_text(swift.key)
        faulty.path_part, faulty.fault = path_part, fault
        with pytest.raises(kinds):
            site.run()
        assert faulty.struck
        assert site.state()["last_good"] is None
