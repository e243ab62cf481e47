"""A folder of what rclone knows, here a real WebDAV server: the same promises, named troubles, a whole life."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from nacl.secret import SecretBox

from backup.errors import ConfigInvalid, ObjectMissing, TargetAway, TargetFull, TargetRefused
from backup.model import Kind, Status
from backup.settings.target import TargetSettings
from backup.targets.deleting import open_for_deleting
from backup.targets.reading import at_hand
from backup.targets.registry import open_target
from tests.support.backups import HOST, PLACE, SET, change, demand_same, new_site
from tests.support.killed_run import KilledRun
from tests.support.target_contract import TargetContract
from tests.support.waiting import wait_until
from tests.support.webdav import MOST_BYTES, webdav

if TYPE_CHECKING:
    from backup.targets.contract import Target
    from tests.support.backups import Pairs, Site
    from tests.support.swift import Swift
    from tests.support.webdav import WebDav

__all__ = ["webdav"]


def _settings(config: Path, remote: str, **changes: Any) -> TargetSettings:
    values = {"timeout": timedelta(seconds=60)} | changes
    return TargetSettings(name="store", kind="rclone", remote=remote, config_file=config, **values)


class TestRclone(TargetContract):
    many = 5  # each is two programs

    @pytest.fixture
    def settings(self, webdav: WebDav) -> TargetSettings:
        return _settings(webdav.config, f"dav:{uuid4().hex}")

    def test_a_file_is_replaced_by_one_of_its_size(self, target: Target, tmp_path: Path) -> None:
        target.write("r/same", b"old")
        target.write("r/same", b"new")
        assert b"".join(target.read("r/same")) == b"new"
        (tmp_path / "sent").write_bytes(b"put")
        target.put("r/same", tmp_path / "sent")
        assert b"".join(target.read("r/same")) == b"put"

    def test_a_half_sent_file_is_not_listed(self, webdav: WebDav, settings: TargetSettings, target: Target) -> None:
        target.write("h/whole", b"1")
        folder = webdav.files / str(settings.remote).removeprefix("dav:") / "h"
        (folder / "other.1a2b3c4d.partial").write_text("killed while sending")
        assert dict(target.files("h")) == {"whole": 1}

    def test_what_is_at_hand_was_fetched_together_and_only_for_as_long(
        self, webdav: WebDav, settings: TargetSettings, target: Target
    ) -> None:
        for name in ("h/one", "h/two", "h/three"):
            target.write(name, name.encode())
        with at_hand(target, "h", target.files("h")):
            for file in (webdav.files / str(settings.remote).removeprefix("dav:") / "h").iterdir():
                file.unlink()
            assert [b"".join(target.read(f"h/{name}")) for name in ("one", "two")] == [b"h/one", b"h/two"]
        with pytest.raises(ObjectMissing):
            list(target.read("h/one"))

    def test_a_disk_that_is_not_mounted_is_away_and_not_made_up(self, webdav: WebDav) -> None:
        with open_target(_settings(webdav.config, f"dav:{uuid4().hex}/store")) as target:
            for attempt in (target.reach, lambda: target.write("a/b", b"x"), lambda: target.files("a")):
                with pytest.raises(TargetAway, match="mount"):
                    attempt()


def test_a_remote_that_keeps_sums_and_room_tells_them(swift: Swift, webdav: WebDav, tmp_path: Path) -> None:
    more = (
        f"[swift]\ntype = swift\nauth = {swift.auth_url}\nuser = {swift.user}\nkey = {swift.key}\n"
        "[disk]\ntype = local\n"
    )
    config = webdav.write_config("swift.conf", more=more)
    with open_target(_settings(config, f"swift:{swift.new_container()}")) as target:
        target.reach()
        target.write("m/d5", b"abc")
        assert target.stat("m/d5").md5 == "900150983cd24fb0d6963f7d28e17f72"
        assert target.folders("") == ["m"]
        assert not target.files("nowhere")
    with open_target(_settings(config, f"disk:{tmp_path}")) as target:
        target.reach()
        room = target.room()
        assert room is not None
        assert room > 1 << 20


def test_a_host_whose_account_may_not_delete_cannot(webdav: WebDav) -> None:
    root = f"dav:{uuid4().hex}"
    with open_for_deleting(_settings(webdav.host_config, root)) as broken_in:
        broken_in.reach()
        broken_in.write("a/b", b"1")
        with pytest.raises(TargetRefused):
            broken_in.delete("a/b")
        assert b"".join(broken_in.read("a/b")) == b"1"


def _use(settings: TargetSettings) -> None:
    with open_target(settings) as target:
        target.reach()
        target.write("t/large", bytes(MOST_BYTES + 1))


def test_each_trouble_has_its_name_and_nothing_is_asked(webdav: WebDav, tmp_path: Path) -> None:
    def demand(
        kind: type[Exception], said: str, config: Path = webdav.config, remote: str = "dav:t", **more: Any
    ) -> None:
        with pytest.raises(kind, match=said):
            _use(_settings(config, remote, **more))

    demand(TargetAway, "127.0.0.1:1", webdav.write_config("away.conf", port=1))
    demand(TargetRefused, "credentials", webdav.write_config("wrong.conf", password="wrong"))
    demand(TargetFull, "Too Large", remote="dav:narrow")
    demand(ConfigInvalid, "section", remote="cloud:t")
    demand(ConfigInvalid, "rclone --config .* config", tmp_path / "none.conf")
    locked = tmp_path / "locked.conf"
    locked.write_text("RCLONE_ENCRYPT_V0:\n" + "A" * 200 + "\n")
    demand(ConfigInvalid, "password_file", locked)
    (tmp_path / "password").write_text("wrong\n")
    demand(ConfigInvalid, "wrong password", locked, password_file=tmp_path / "password")
    box = SecretBox(hashlib.sha256(b"[of-the-file][rclone-config]").digest())
    sealed = base64.b64encode(box.encrypt(webdav.config.read_bytes())).decode()
    locked.write_text(f"# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\n{sealed}\n")
    (tmp_path / "password").write_text("of-the-file\n")
    demand(TargetFull, "Too Large", locked, "dav:narrow", password_file=tmp_path / "password")  # it was opened
    webdav.fault.touch()
    try:
        demand(TargetAway, "500")
    finally:
        webdav.fault.unlink()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        config = webdav.write_config("silent.conf", port=silent.getsockname()[1])
        demand(TargetAway, "timeout", config, timeout=timedelta(seconds=1))


def test_a_whole_life_at_a_remote_and_back_by_plain_duplicity(pairs: Pairs, webdav: WebDav, tmp_path: Path) -> None:
    root = uuid4().hex
    lines = f'kind = "rclone"\nremote = "dav:{root}"\nconfig_file = "{webdav.host_config}"\nupload_limit = "50MiB"'
    with new_site(pairs, lines) as site:
        (site.data / "empty").touch()
        (site.data / "noise").write_bytes(os.urandom(1 << 16))
        _add_folder(site)
        assert site.run().status is Status.OK
        change(site.data / "empty", "no more")
        assert site.run().kind is Kind.INCREMENTAL
        chains = webdav.files / root / PLACE.chains
        (first,) = (path.name for path in chains.iterdir())
        demand_same(_restored_plainly(site, f"rclone://dav:/{root}/{PLACE.chains}/{first}", webdav.config), site.data)
        site.add_pruner('retention.keep_chains = 1\ngrace = "0s"', target=lines.replace("host.conf", "rclone.conf"))
        site.run(is_full_asked=True)
        site.prune("--yes")
        (kept,) = [path.name for path in chains.iterdir() if any(path.iterdir())]
        assert kept != first
        verified = site.bkp("station", "verify", SET)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        given = ["--from", "rclone", "--with", f"remote=dav:{root}", "--with", f"config_file={webdav.config}"]
        restored = site.bkp("station", "restore", f"{HOST}/{SET}", *given, "--to", str(tmp_path / "back"))
        assert restored.returncode == 0, restored.stderr
        demand_same(tmp_path / "back" / str(site.data)[1:], site.data)
        webdav.fault.touch()
        try:
            doctor = site.bkp("host", "doctor")
        finally:
            webdav.fault.unlink()
        assert "rclone lsd dav:" in doctor.stdout
        assert "rclone: v1." in doctor.stdout


def test_what_a_killed_run_was_sending_is_sent_no_further(pairs: Pairs, webdav: WebDav) -> None:
    root = uuid4().hex
    lines = f'kind = "rclone"\nremote = "dav:{root}"\nconfig_file = "{webdav.config}"\nupload_limit = 1024'
    with new_site(pairs, lines) as site:
        (site.data / "noise").write_bytes(os.urandom(1 << 20))
        run = KilledRun(site)
        assert run.kill_when(lambda: any("copyto" in line for line in _rclones(root)))  # a quarter of an hour long
        wait_until(lambda: not _rclones(root), 120, "the end of what the run was sending")


def _rclones(root: str) -> list[str]:
    """Return the command lines of the programs that speak of a folder of the server."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if line.startswith("rclone ") and root in line]


def _restored_plainly(site: Site, url: str, config: Path) -> Path:
    """Restore a chain's newest state with plain duplicity; return where the data folder is then."""
    place = Path(tempfile.mkdtemp(dir=site.folder))
    done = subprocess.run(
        [
            sys.executable, str(Path(sys.executable).parent / "duplicity"), "restore", f"--archive-dir={place / 'c'}",
            "--gpg-options=--trust-model always", f"--path-to-restore={str(site.data)[1:]}", url, str(place / "back"),
        ],
        env=dict(os.environ) | site.ring("station").environment() | {"RCLONE_CONFIG": str(config)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "back"


def _add_folder(site: Site) -> None:
    """Let the set go to a folder, too: two copies at once."""
    for role in ("host", "station"):
        file = site.file(role)
        text = file.read_text().replace('target = "store"\n', 'target = "store"\nalso = ["second"]\n')
        file.write_text(f'{text}[[targets]]\nname = "second"\nkind = "folder"\nfolder = "{site.store}"\n')
