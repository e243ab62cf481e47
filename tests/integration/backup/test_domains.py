"""Domains of a real libvirt, saved while their guests write, and brought back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from backup.errors import SourceFailed
from backup.model import Kind, RunId
from backup.proof import guest
from backup.proof.contract import Limits
from backup.runtime.mounts import mounts_below
from backup.saving.run import run_set
from tests.support.backups import CHECKOUT, SET, demand_same, new_site, next_due
from tests.support.holding import ENCRYPTING, HeldGpg
from tests.support.hypervisor import WITHOUT_KVM, make_disk, sum_of
from tests.support.uefi import BOOT, make_boot_disk, make_variables
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.engine.progress import Progress
    from tests.support.backups import Pairs, Site
    from tests.support.hypervisor import Hypervisor


def source_of(hypervisor: Hypervisor, name: str) -> str:
    return f'libvirt.domain = "{name}"\nlibvirt.uri = "{hypervisor.uri}"\nlibvirt.exchange = "{hypervisor.folder}"'


@pytest.fixture
def saved(pairs: Pairs, hypervisor: Hypervisor, counting: str) -> Iterator[Site]:
    """A site whose set is the counting domain, which runs."""
    if hypervisor.virsh("domstate", counting) != "running":
        hypervisor.start(counting)
    with new_site(pairs, source=source_of(hypervisor, counting)) as site:
        yield site
        for name in hypervisor.virsh("checkpoint-list", counting, "--name").split():
            hypervisor.virsh("checkpoint-delete", counting, name, is_ok=False)


def found_on(folder: Path) -> tuple[int, int]:
    """Return what the guest had counted on the two restored images: in its file system, which is mended, and raw."""
    first = folder / "disks/vda.raw"
    checked = subprocess.run(["/usr/sbin/e2fsck", "-p", "-f", first], capture_output=True, check=False, timeout=300)
    assert checked.returncode in (0, 1), checked.stdout  # 1: its journal was played
    told = subprocess.run(
        ["/usr/sbin/debugfs", "-R", "cat /counter", first], capture_output=True, check=True, timeout=300
    )
    with (folder / "disks/vdb.raw").open("rb") as second:
        return int(told.stdout), int(second.read(20).split()[0])


def restore(site: Site, to: Path, *options: str) -> dict[str, Any]:
    done = site.bkp("station", "restore", "files", "--to", str(to), "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def by_hand(site: Site, place: Path) -> None:
    """Restore with plain duplicity and the document's lines."""
    place.mkdir()
    site.restore_plainly(place / "back", is_all=True)
    text = (CHECKOUT / "docs/machines.md").read_text()
    (lines,) = re.findall(r"<!-- changes by hand: a test runs these lines -->\n```sh\n(.*?)```", text, re.DOTALL)
    subprocess.run(["bash", "-euo", "pipefail", "-c", lines], cwd=place, check=True, timeout=300)


def demand_clean(hypervisor: Hypervisor, name: str, site: Site) -> None:
    """Fail when a run left something: a job, a frozen guest, a folder of sockets, a mounted file."""
    assert "watchkeep" not in hypervisor.job(name)
    assert hypervisor.ask(name, "guest-fsfreeze-status") == "thawed"
    assert not [each.name for each in hypervisor.folder.iterdir() if each.name.startswith("watchkeep-")]
    assert mounts_below(site.folder) == []


def test_a_running_guest_is_saved_at_one_instant_then_by_changed_blocks(
    saved: Site, hypervisor: Hypervisor, counting: str, tmp_path: Path, figure: Any
) -> None:
    low = hypervisor.counter(counting)
    full = saved.run()
    first = saved.manifest()["consistency"]
    middle = hypervisor.wait_for_count(counting)
    changed = saved.run()
    second = saved.manifest()["consistency"]
    high = hypervisor.counter(counting)
    assert (full.kind, changed.kind) == (Kind.FULL, Kind.INCREMENTAL)
    assert first["is_frozen"]
    assert saved.state()["last_good"]["covers"].items() >= {"domains": [counting], "is_whole": True}.items()
    assert first["frozen_seconds"] < 60
    assert {each["how"] for each in second["read"].values()} == {"changes"}
    read = sum(each["bytes"] for each in second["read"].values())
    assert read < (80 << 20) / 8
    assert changed.stored_bytes is not None
    figure(f"domain of 80 MiB: incremental read {read >> 10} KiB, stored {changed.stored_bytes >> 10} KiB")
    demand_clean(hypervisor, counting, saved)
    assert full.at is not None
    restore(saved, tmp_path / "first", "--at", full.at.isoformat())
    restore(saved, tmp_path / "second")
    for folder, bounds in ((tmp_path / "first", (low, middle)), (tmp_path / "second", (middle, high))):
        on_first, on_second = found_on(folder)
        assert bounds[0] <= on_first <= bounds[1]
        assert on_first - 1 <= on_second <= on_first  # both disks are of one instant
        assert not (folder / "changes").exists()
        assert 'type="qemu"' in (folder / "domain.xml").read_text().replace("'", '"')


def test_what_is_restored_is_byte_for_byte_what_the_domain_has_when_it_is_off(
    saved: Site, hypervisor: Hypervisor, counting: str, tmp_path: Path
) -> None:
    saved.run()
    hypervisor.wait_for_count(counting)
    hypervisor.virsh("destroy", counting)
    off = saved.run()
    record = saved.manifest()["consistency"]
    assert off.kind is Kind.INCREMENTAL
    assert not record["is_running"]
    assert {each["how"] for each in record["read"].values()} == {"changes"}  # by the bitmaps in the images
    restore(saved, tmp_path / "back")
    by_hand(saved, tmp_path / "by hand")
    demand_same(tmp_path / "back/disks", tmp_path / "by hand/back/disks")
    images = {name: hypervisor.folder / f"{name}.qcow2" for name in ("vda", "vdb")}
    assert {name: sum_of(tmp_path / f"back/disks/{name}.raw", "raw") for name in images} == {
        name: sum_of(image, "qcow2") for name, image in images.items()
    }
    hypervisor.start(counting)
    hypervisor.wait_for_count(counting)
    assert saved.run().kind is Kind.INCREMENTAL  # the same chain goes on
    assert {each["how"] for each in saved.manifest()["consistency"]["read"].values()} == {"changes"}


def test_a_second_domain_is_made_of_a_restore_point_and_boots(
    saved: Site, hypervisor: Hypervisor, counting: str
) -> None:
    saved.run()
    hypervisor.wait_for_count(counting)
    saved.run()
    to = hypervisor.folder / "again"
    options = ("--domain", "again", "--connect", hypervisor.uri)
    refused = saved.bkp("station", "restore", "files", "--to", str(to), "--domain", counting, *options[2:])
    assert refused.returncode == 52
    assert "choose another name" in refused.stderr
    assert not to.exists()
    made = restore(saved, to, *options)["domain"]
    assert made["uuid"] == hypervisor.virsh("domuuid", "again") != hypervisor.virsh("domuuid", counting)
    hypervisor.start("again")
    first, second = hypervisor.found("again")
    assert first - 1 <= second <= first
    assert hypervisor.wait_for_count("again") > first
    hypervisor.remove("again")


def test_a_drill_boots_what_was_saved_until_its_guest_answers(
    saved: Site, hypervisor: Hypervisor, counting: str, figure: Any
) -> None:
    saved.run()
    hypervisor.wait_for_count(counting)
    saved.run()
    done = saved.bkp("station", "drill", "files", "--json", prefix=WITHOUT_KVM)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(done.stdout)["sets"][0]["drill"]
    checks = {each["what"]: each for each in record["checks"]}
    assert checks["guests booted until their agent answered"]["differing"] == 0
    assert checks["file systems the guest mounted"]["looked_at"] == 1
    assert checks["disks put together"]["looked_at"] == 2
    figure(f"drill of a domain: ready {record['ready_seconds']:.1f} s after it was restored, emulated")


def test_a_guest_with_uefi_comes_back_with_the_variables_that_boot_it(
    pairs: Pairs, hypervisor: Hypervisor, figure: Any
) -> None:
    place = hypervisor.folder
    make_variables(place / "uefi.fd").chmod(0o600)
    disks = {
        "vda": make_disk(place / "uefi-vda.qcow2", "8M", is_formatted=True),
        "sda": make_boot_disk(place / "uefi-sda.raw", place),
    }
    hypervisor.define("uefi", disks, BOOT)
    hypervisor.start("uefi")
    with new_site(pairs, source=source_of(hypervisor, "uefi")) as site:
        site.run()
        findings = json.loads(site.bkp("host", "doctor", "--json").stdout)["findings"]
        said = [each["text"] for each in findings if each["what"] == "set files"]
        assert "domain 'uefi' runs; vda, sda and the variables of its UEFI can be saved" in said
        hypervisor.remove("uefi")
        record = site.manifest()["consistency"]
        assert record["firmware"]["loader"].endswith("OVMF_CODE_4M.fd")  # libvirt's choice
        restore(site, place / "later", "--domain", "later", "--connect", hypervisor.uri)
        assert f"<nvram>{place}/later/boot/nvram</nvram>" in hypervisor.virsh("dumpxml", "later")
        hypervisor.virsh("start", "later")
        assert f"{place}/later/boot/nvram</nvram>" in hypervisor.virsh("dumpxml", "later")
        hypervisor.remove("later")
        done = site.bkp("station", "drill", "files", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    drill = json.loads(done.stdout)["sets"][0]["drill"]
    checks = {each["what"]: each for each in drill["checks"]}
    assert checks["guests booted until their agent answered"]["differing"] == 0
    assert checks["file systems the guest mounted"]["looked_at"] == 1
    figure(f"drill of a domain with UEFI: ready {drill['ready_seconds']:.1f} s after it was restored, emulated")


def test_a_guest_that_does_not_come_up_is_no_proof(
    hypervisor: Hypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot").mkdir()
    for name in ("kernel", "initrd.gz"):
        shutil.copy(hypervisor.folder / name, tmp_path / "boot" / name.removesuffix(".gz"))
    empty = make_disk(tmp_path / "empty.raw", "8M", "raw")
    definition = "<domain><os><cmdline>console=ttyS0 quiet panic=1</cmdline></os></domain>"
    limits = Limits(deadline=time.monotonic() + 1200, memory_bytes=512 << 20)
    monkeypatch.setattr(guest, "accelerators", lambda: ["tcg"])
    answer = guest.boot(definition, {"vda": empty}, tmp_path, limits)
    assert answer.file_systems is None
    assert "no file system" in answer.words


def test_a_lost_checkpoint_and_another_disk_bring_a_full_that_says_why(
    saved: Site, hypervisor: Hypervisor, counting: str
) -> None:
    saved.run()
    (checkpoint,) = hypervisor.virsh("checkpoint-list", counting, "--name").split()
    hypervisor.virsh("checkpoint-delete", counting, checkpoint)
    lost = saved.run()
    assert lost.kind is Kind.FULL
    assert lost.reason == f"the checkpoint {checkpoint} is lost"
    hypervisor.virsh("blockresize", counting, "vdb", "24M")
    grown = saved.run()
    assert grown.kind is Kind.FULL
    assert grown.reason == f"disk vdb had {16 << 20} bytes and has {24 << 20}"


@pytest.mark.parametrize("phase", ["preparing", "saving"])
def test_a_killed_run_leaves_no_job_and_no_frozen_guest(
    saved: Site, hypervisor: Hypervisor, counting: str, phase: str, tmp_path: Path
) -> None:
    saved.run()
    command = saved.command("host", "run", "files", "--full", "--json")
    own = {"TMPDIR": str(tmp_path)}
    with (
        HeldGpg(saved.folder, ENCRYPTING) as held,  # it does not come to its end before it is killed
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, env=held.environment | own) as run,
    ):
        assert run.stdout is not None
        for line in run.stdout:
            if json.loads(line).get("phase") == phase:
                break
        if phase == "preparing":
            wait_until(lambda: "watchkeep" in hypervisor.job(counting), 240, "the backup job")
        run.kill()
    wait_until(lambda: not re.search("watchkeep", hypervisor.job(counting)), 240, "the guardian ending the job")
    wait_until(lambda: hypervisor.ask(counting, "guest-fsfreeze-status") == "thawed", 240, "the guest thawed")
    assert saved.run().kind is Kind.INCREMENTAL  # from the point before; the killed run's checkpoint is gone
    demand_clean(hypervisor, counting, saved)
    assert len(hypervisor.virsh("checkpoint-list", counting, "--name").split()) == 2
    assert list(tmp_path.iterdir()) == []  # what it had to write down lies where the next run clears it


def test_a_domain_that_ends_while_it_is_being_saved_fails_the_run(
    saved: Site, hypervisor: Hypervisor, counting: str
) -> None:
    def end(told: Progress) -> None:
        if told.phase == "saving":
            hypervisor.virsh("destroy", counting)

    with pytest.raises(SourceFailed, match="half is no backup"):
        run_set(saved.settings(), RunId(set=SET, due_at=next_due()), on_progress=end)
    assert saved.state()["last_run"]["status"] == "failed"
    assert not saved.points.exists() or not any(saved.points.iterdir())
    assert mounts_below(saved.folder) == []
