"""A folder behind a real SFTP server: the same promises, known servers only, and troubles with the right names."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from paramiko import SFTPClient

from backup.errors import ConfigInvalid, TargetAway, TargetFull, TargetRefused
from backup.model import Status
from backup.settings.target import TargetSettings
from backup.targets.deleting import open_for_deleting
from backup.targets.registry import open_target
from tests.support.backups import PLACE, SET, change, demand_same, fill, new_site
from tests.support.sftp import PASSPHRASE, PASSWORD, SftpServer, sftp_server
from tests.support.small_disk import small_disk
from tests.support.target_contract import TargetContract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.targets.contract import Target
    from tests.support.backups import Pairs

__all__ = ["sftp_server"]


def _settings(server: SftpServer, path: Path, **changes: Any) -> TargetSettings:
    values = {
        "address": "127.0.0.1", "port": server.port, "user": server.user, "path": str(path),
        "known_hosts": server.folder / "known_hosts", "key_file": server.folder / "user_key",
        "timeout": timedelta(seconds=60),
    } | changes  # fmt: skip
    return TargetSettings(name="store", kind="sftp", **values)  # type: ignore[arg-type]  # of one table


def _secret(folder: Path, text: str) -> Path:
    file = folder / "secret"
    file.write_text(f"{text}\n")
    return file


class TestSftp(TargetContract):
    @pytest.fixture
    def settings(self, sftp_server: SftpServer, tmp_path: Path) -> TargetSettings:
        return _settings(sftp_server, tmp_path / "store")

    def test_a_disk_that_is_not_mounted_is_away_and_not_made_up(self, sftp_server: SftpServer, tmp_path: Path) -> None:
        with open_target(_settings(sftp_server, tmp_path / "mount" / "store")) as target:
            for attempt in (target.reach, lambda: target.write("a/b", b"x"), lambda: target.files("a")):
                with pytest.raises(TargetAway, match="mount"):
                    attempt()
        assert not (tmp_path / "mount").exists()

    def test_a_folder_that_another_makes_meanwhile_is_reached(
        self, settings: TargetSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = SFTPClient.mkdir

        def another_and_we(client: SFTPClient, path: str, mode: int) -> None:
            make(client, path, mode)
            make(client, path, mode)

        monkeypatch.setattr(SFTPClient, "mkdir", another_and_we)
        with open_target(settings) as target:
            target.reach()
            assert not target.files("")

    def test_a_half_written_file_is_not_listed(self, tmp_path: Path, target: Target) -> None:
        target.write("h/whole", b"1")
        (tmp_path / "store/h/other.123.half").write_text("killed while writing")
        assert dict(target.files("h")) == {"whole": 1}
        assert sorted(path.name for path in (tmp_path / "store/h").iterdir()) == ["other.123.half", "whole"]

    def test_it_goes_on_over_a_new_connection_when_the_old_one_broke(
        self, sftp_server: SftpServer, target: Target
    ) -> None:
        target.write("a/b", b"1")
        sftp_server.stop()
        sftp_server.start()
        assert dict(target.files("a")) == {"b": 1}

    def test_the_pruner_deletes_nothing_through_a_symbolic_link(
        self, settings: TargetSettings, target: Target, tmp_path: Path
    ) -> None:
        target.write("a/b", b"1")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "file").write_text("of somebody else")
        (tmp_path / "store/a/link").symlink_to(tmp_path / "elsewhere")
        with open_for_deleting(settings) as deleting, pytest.raises(TargetRefused, match="no folder"):
            deleting.delete("a/link/file")
        assert (tmp_path / "elsewhere" / "file").exists()

    def test_a_full_disk_has_its_own_name(self, tmp_path: Path) -> None:
        with (
            small_disk(tmp_path / "disk", size_mib=2),
            _another_server(tmp_path / "server") as server,
            open_target(_settings(server, tmp_path / "disk")) as target,
        ):
            target.reach()
            target.write("a/small", b"x")
            with pytest.raises(TargetFull, match="free"):
                target.write("a/large", bytes(4 << 20))
            assert [path.name for path in (tmp_path / "disk" / "a").iterdir()] == ["small"]

    def test_what_may_not_be_written_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        with (
            _another_server(tmp_path / "server", more="-R") as server,
            open_target(_settings(server, tmp_path / "store")) as target,
        ):
            target.reach()
            with pytest.raises(TargetRefused):
                target.write("a", b"x")


@contextmanager
def _another_server(folder: Path, more: str = "") -> Iterator[SftpServer]:
    """Run a server that sees what is mounted by now; `more`: options of its SFTP part."""
    server = SftpServer(folder)
    server.more = more
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"port": 1}, TargetAway, "127.0.0.1:1"),
        ({"user": "nobody-of-that-name"}, TargetRefused, "login is refused"),
        ({"known_hosts": "empty"}, TargetRefused, "ssh-keyscan"),
        ({"known_hosts": "stranger"}, TargetRefused, "another key"),
        ({"key_file": "stranger_key"}, TargetRefused, "login is refused"),
        ({"key_file": "locked_key"}, ConfigInvalid, "password_file"),
    ],
)
def test_who_cannot_get_in_is_told_why(
    sftp_server: SftpServer, tmp_path: Path, changes: dict[str, Any], kind: type[Exception], said: str
) -> None:
    strange = tmp_path / "stranger_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(strange)], check=True, timeout=120)
    (tmp_path / "empty").touch()
    (tmp_path / "stranger").write_text(sftp_server.known_as(strange.with_suffix(".pub")))
    files = {
        "empty": tmp_path / "empty", "stranger": tmp_path / "stranger", "stranger_key": strange,
        "locked_key": sftp_server.folder / "locked_key",
    }  # fmt: skip
    changed = {name: files.get(str(value), value) for name, value in changes.items()}
    with open_target(_settings(sftp_server, tmp_path, **changed)) as target, pytest.raises(kind, match=said):
        target.reach()


def test_the_doctor_says_what_to_do_about_a_server_nobody_answers_at(pairs: Pairs, sftp_server: SftpServer) -> None:
    lines = (
        'kind = "sftp"\naddress = "127.0.0.1"\nport = 1\nuser = "backup"\npath = "/srv/backup"\n'
        f'known_hosts = "{sftp_server.folder / "known_hosts"}"\nkey_file = "{sftp_server.folder / "user_key"}"'
    )
    with new_site(pairs, lines) as site:
        done = site.bkp("host", "doctor")
        assert done.returncode == 2
        assert "look whether an SSH server answers at 127.0.0.1:1" in done.stdout


def test_a_server_that_stays_silent_is_away_within_the_timeout(sftp_server: SftpServer, tmp_path: Path) -> None:
    settings = _settings(sftp_server, tmp_path, timeout=timedelta(seconds=1))
    sftp_server.freeze()
    try:
        with open_target(settings) as target, pytest.raises(TargetAway):
            target.reach()
    finally:
        sftp_server.thaw()


@pytest.mark.parametrize(
    ("key", "secret"), [("user_key", None), ("locked_key", PASSPHRASE), (None, PASSWORD)],
)  # fmt: skip
def test_runs_go_there_and_come_back_by_key_by_locked_key_and_by_password(
    pairs: Pairs, sftp_server: SftpServer, tmp_path: Path, key: str | None, secret: str | None
) -> None:
    (tmp_path / "store").mkdir()
    lines = [
        'kind = "sftp"', 'address = "127.0.0.1"', f"port = {sftp_server.port}", f'user = "{sftp_server.user}"',
        f'path = "{tmp_path / "store"}"', f'known_hosts = "{sftp_server.folder / "known_hosts"}"',
        *([f'key_file = "{sftp_server.folder / key}"'] if key else []),
        *([f'password_file = "{_secret(tmp_path, secret)}"'] if secret else []),
    ]  # fmt: skip
    with new_site(pairs, "\n".join(lines)) as site:
        fill(site.data)
        if key == "user_key":
            site.cut_into(2)
        assert site.run().status is Status.OK
        if key == "user_key":
            change(site.data / "empty", "no more")
            assert str(site.run().kind) == "incremental"
            assert len(list((tmp_path / "store" / PLACE.chains).glob("*/part-*/*.manifest.gpg"))) == 4
        back = site.folder / "back"
        restored = site.bkp("station", "restore", SET, "--to", str(back))
        assert restored.returncode == 0, restored.stderr
        demand_same(back / str(site.data)[1:], site.data)
