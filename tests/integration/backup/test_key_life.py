"""Keys are replaced, tried from paper, and let go when no restore point needs them (B11)."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from backup.errors import KeyNeeded, KeyWrong, PassphraseMissing, PassphraseWrong
from backup.keys.making import make_host_pair
from backup.model import Kind
from tests.support.backups import HOST, SET, change, demand_same
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.backups import Site


def ok(site: Site, role: str, *arguments: str) -> str:
    done = site.bkp(role, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def carry(site: Site, giver: str, taker: str) -> None:
    """Bring one role's public keys to another."""
    file = site.folder / "public.asc"
    file.write_text(ok(site, giver, "key", "export", giver))
    ok(site, taker, "key", "import", str(file))


def needs(site: Site, role: str) -> dict[str, dict[str, Any]]:
    listed = json.loads(ok(site, role, "key", "retire", "--json"))
    assert listed["doubts"] == []
    return {key["fingerprint"]: key for key in listed["keys"]}


def restored(site: Site, at: str, to: str) -> Path:
    folder = site.folder / to
    path = ("--path", str(site.data)[1:])
    ok(site, "station", "restore", SET, "--to", str(folder), "--at", at, *path)
    return folder / site.data.name


def test_both_keys_are_rotated_and_every_point_stays_restorable_until_the_old_ones_can_go(site: Site) -> None:
    site.run()
    first = site.manifest()["at"]
    old = shutil.copytree(site.data, site.folder / "old")
    new_station = json.loads(ok(site, "station", "key", "rotate", "station", "--json"))["fingerprint"]
    carry(site, "station", "host")
    change(site.data / "deep" / "er" / "words", "by the new key\n")
    record = site.run()
    assert (record.kind, site.manifest()["recipients"]) == (Kind.FULL, [new_station])
    assert (
        record.reason
        == f"the encryption keys are others: {new_station[-16:]} instead of {site.pairs.station.fingerprint[-16:]}"
    )
    new_host = json.loads(ok(site, "host", "key", "rotate", "host", "--json"))["fingerprint"]
    carry(site, "host", "station")
    record = site.run()
    assert (record.kind, site.manifest()["signer"]) == (Kind.FULL, new_host)
    assert record.reason is not None
    assert record.reason.startswith("the signing key is another one")
    demand_same(restored(site, first, "then"), old)
    demand_same(restored(site, "now", "now"), site.data)

    needed = needs(site, "station")
    assert {name: len(key["needed_by"]) for name, key in needed.items()} == {
        site.pairs.station.fingerprint: 1, new_station: 2, site.pairs.host.fingerprint: 2, new_host: 1,
    }  # fmt: skip
    for fingerprint in (site.pairs.station.fingerprint, new_station, site.pairs.host.fingerprint[-16:]):
        refused = site.bkp("station", "key", "retire", fingerprint, "--yes")
        assert refused.returncode == KeyNeeded.exit_code
        assert f"{HOST}/{SET}" in refused.stderr
    manifests = sorted(site.points.iterdir())
    for gone in manifests[:-1]:
        gone.unlink()
    asked = site.bkp("station", "key", "retire", site.pairs.station.fingerprint)
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    for fingerprint in (site.pairs.station.fingerprint, site.pairs.host.fingerprint):
        ok(site, "station", "key", "retire", fingerprint, "--yes")
    assert set(needs(site, "station")) == {new_station, new_host}
    assert site.bkp("station", "key", "retire", new_station, "--yes").returncode == KeyNeeded.exit_code
    ok(site, "host", "key", "retire", site.pairs.host.fingerprint, "--yes")
    assert site.run().kind is Kind.INCREMENTAL


def test_nothing_is_let_go_while_a_manifest_cannot_be_understood(site: Site) -> None:
    site.run()
    ok(site, "station", "key", "rotate", "station")
    (manifest,) = site.points.iterdir()
    manifest.write_text(manifest.read_text().replace('"entries"', '"entires"'))
    refused = site.bkp("station", "key", "retire", site.pairs.station.fingerprint, "--yes")
    assert refused.returncode == KeyNeeded.exit_code
    assert manifest.name in refused.stderr


def test_nothing_is_let_go_that_points_where_the_set_was_before_need(site: Site) -> None:
    site.run()
    key = site.pairs.station.fingerprint
    ok(site, "station", "key", "rotate", "station")
    file = site.file("station")
    moved = file.read_text().replace('target = "store"', 'target = "new"')
    (site.folder / "new").mkdir()
    file.write_text(f'{moved}\n[[targets]]\nname = "new"\nkind = "folder"\nfolder = "{site.folder / "new"}"\n')
    refused = site.bkp("station", "key", "retire", key, "--yes")
    assert refused.returncode == KeyNeeded.exit_code, refused.stderr


def test_a_sheet_is_tried_with_its_passphrase_and_leaves_nothing_behind(site: Site) -> None:
    sheet = site.folder / "sheet.txt"
    ok(site, "station", "key", "escrow", "--text", str(sheet))
    passphrase = site.folder / "station/keys/station.passphrase"
    own = site.folder / "own"  # where the machine has its temporary files, others may have been killed
    own.mkdir()
    environment = os.environ | {"TMPDIR": str(own)}
    tried = site.bkp("station", "key", "try", str(sheet), "--passphrase-file", str(passphrase), env=environment)
    assert (tried.returncode, tried.stderr, list(own.iterdir())) == (0, "", [])
    assert "open the backups" in tried.stdout
    wrong = site.folder / "wrong"
    wrong.write_text("not this\n")
    wrong.chmod(0o600)
    told = site.bkp("station", "key", "try", str(sheet), "--passphrase-file", str(wrong))
    assert told.returncode == PassphraseWrong.exit_code
    assert site.bkp("station", "key", "try", str(sheet)).returncode == PassphraseMissing.exit_code
    lines = sheet.read_text()
    sheet.write_text(lines.replace("  7: ", "  7: A", 1))
    told = site.bkp("station", "key", "try", str(sheet), "--passphrase-file", str(passphrase))
    assert (told.returncode, "line 7" in told.stderr) == (KeyWrong.exit_code, True)
    sheet.write_text(lines)
    ok(site, "station", "key", "rotate", "station")
    told = site.bkp("station", "key", "try", str(sheet), "--passphrase-file", str(passphrase))
    assert (told.returncode, "of an older key" in told.stderr) == (0, True)
    both = site.folder / "both.txt"  # the sheets of the new key and of the old one
    both.write_text(ok(site, "station", "key", "escrow"))
    brought = ok(site, "station", "key", "import", str(both), "--key", str(site.folder / "new"), "--json")
    assert sum(key["has_secret"] for key in json.loads(brought)["keys"]) == 2


def test_the_state_says_when_the_first_key_expires(site: Site) -> None:
    before = site.pairs.host.made_at  # the younger one signs; gpg knows their age by whole seconds
    wait_until(lambda: datetime.now(UTC) > before + timedelta(seconds=1), 60, "the next second")
    with site.ring() as ring:
        made = make_host_pair(ring, HOST, timedelta(days=20))
    assert made.expires_at is not None
    site.run()
    assert site.state()["key_expires_at"] == made.expires_at.isoformat()
    assert "expires on" in site.state()["reminders"][0]
