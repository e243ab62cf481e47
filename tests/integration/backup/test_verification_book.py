"""What a verification found is kept at the station for its agent and `bkp status`; samples go round (B8, B9)."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from backup.command.__main__ import cli
from backup.errors import BackupDamaged, NoRestorePoint, TargetAway
from tests.support.backups import HOST, SET

if TYPE_CHECKING:
    from click.testing import Result

    from tests.support.backups import Site

DUE = "2026-11-20T05:00:00+00:00"


def verified(site: Site, *options: str, exit_code: int = 0) -> Result:
    done = CliRunner().invoke(cli, ["verify", SET, *options, "--config", str(site.file("station"))])
    assert done.exit_code == exit_code, done.output
    return done


def state_of(site: Site) -> Any:
    return json.loads((site.folder / "station/state/verifications" / HOST / f"{SET}.json").read_text())


def test_each_depth_renews_what_it_includes_and_damage_stays_until_something_as_deep_finds_it_gone(site: Site) -> None:
    site.run()
    verified(site)
    assert set(state_of(site)["copies"]["store"]["whole"]) == {"stored"}
    assert state_of(site)["last_verification"] is None  # nobody's schedule wanted it
    verified(site, "--depth", "read", "--due", DUE)
    whole = state_of(site)["copies"]["store"]["whole"]
    assert set(whole) == {"stored", "sampled", "read"}
    assert state_of(site)["last_verification"]["status"] == "ok"

    volume = next(site.chains.rglob("*.vol2.difftar.gpg"))
    kept = volume.read_bytes()
    volume.write_bytes(bytes(len(kept)))
    verified(site, "--depth", "read", "--due", DUE, exit_code=BackupDamaged.exit_code)
    verified(site)  # sees only that it is there
    state = state_of(site)
    assert (state["last_verification"]["status"], state["last_verification"]["exit_code"]) == ("failed", 53)
    assert state["copies"]["store"]["damage"]["names"][0].endswith(volume.name)
    assert state["copies"]["store"]["whole"]["read"] == whole["read"]
    status = site.bkp("station", "status")
    assert (status.returncode, "damaged at store: " in status.stderr) == (1, True), status.stderr
    volume.write_bytes(kept)
    verified(site, "--sample", "1%")  # reads again what was damaged
    assert state_of(site)["copies"]["store"]["damage"] is None


def test_samples_read_every_file_in_the_end_and_say_that_they_are_samples(site: Site) -> None:
    site.run()
    files = len(list(site.chains.rglob("*.gpg")))
    assert files >= 5
    for _ in range(3):
        done = verified(site, "--sample", "40%")
        (report,) = json.loads(verified(site, "--sample", "1%", "--json").stdout)["sets"]
        assert report["files_read"] == 1
        assert f"of {files} were read back" in done.stdout
    volume = next(site.chains.rglob("*.vol1.difftar.gpg"))
    volume.write_bytes(bytes(volume.stat().st_size))
    codes = {
        CliRunner().invoke(cli, ["verify", SET, "--sample", "20%", "--config", str(site.file("station"))]).exit_code
        for _ in range(files)
    }
    assert BackupDamaged.exit_code in codes  # whichever turn it was
    wrong = verified(site, "--sample", "10%", "--depth", "decrypted", exit_code=2)
    assert "--depth read" in wrong.output


def test_nothing_is_kept_of_what_was_looked_at_beside_the_configuration_and_an_away_copy_is_not_verified(
    site: Site,
) -> None:
    site.run()
    verified(site, "--at", "now")
    keys = ("--key", str(site.folder / "station/keys/station"))
    done = site.bkp("station", "verify", f"{HOST}/{SET}", "--target", str(site.store), *keys)
    assert done.returncode == 0, done.stderr
    assert not (site.folder / "station/state").exists()
    with site.file("station").open("a") as file:
        file.write(f'also = ["far"]\n[[targets]]\nname = "far"\nkind = "folder"\nfolder = "{site.folder}/no/disk"\n')
    verified(site, "--due", DUE, exit_code=TargetAway.exit_code)
    state = state_of(site)
    assert (state["last_verification"]["exit_code"], list(state["copies"])) == (TargetAway.exit_code, ["store"])


def test_a_copy_from_which_everything_was_deleted_is_not_called_whole(site: Site) -> None:
    site.run()
    verified(site)
    whole = state_of(site)["copies"]["store"]["whole"]
    shutil.rmtree(site.points)
    shutil.rmtree(site.chains)
    verified(site, exit_code=NoRestorePoint.exit_code)
    copy = state_of(site)["copies"]["store"]
    assert (copy["whole"], copy["damage"]["lost"]) == (whole, 1)
    status = site.bkp("station", "status")
    assert (status.returncode, "damaged at store: there is no restore point" in status.stderr) == (1, True), status
    verified(site, "--due", DUE, exit_code=NoRestorePoint.exit_code)
    assert state_of(site)["last_verification"]["exit_code"] == NoRestorePoint.exit_code
