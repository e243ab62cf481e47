"""Keys with the real gpg: who can do what, and what happens when one is wrong, late or missing."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backup.command.key.places import sheet_of
from backup.errors import (
    Cancelled,
    EngineFailed,
    KeyBusy,
    KeyExpired,
    KeyForbidden,
    KeyMissing,
    KeyWrong,
    PassphraseMissing,
    PassphraseWrong,
    SignatureBad,
)
from backup.keys.key import HOST_MARK, STATION_MARK
from backup.keys.making import make_folder, make_host_pair, make_passphrase_file, make_station_pair
from backup.keys.messages import clear_sign, decrypt, encrypt, verify
from backup.keys.ring import KeyRing
from backup.keys.safekeeping import reminders
from backup.keys.sheet import draw_up, qr_texts, read_sheets
from backup.settings.document import read_settings
from tests.support.backups import CHECKOUT, HOST, SET
from tests.support.holding import HeldGpg
from tests.support.processes import command_of, family
from tests.support.waiting import wait_until
from watchkeep.up.backup import prepare_backups
from watchkeep.up.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.errors import BackupError
    from tests.support.backups import Site

_NOW = datetime.now(UTC)
_WAIT_SECONDS = 240.0
_AT_ONCE_SECONDS = 60  # not by the limit of a program that waits for somebody to type; a busy machine is slow


def _host_passphrase(site: Site) -> Path:
    return site.folder / "host/keys/host.passphrase"


def _drop_recipient(site: Site) -> None:
    _gpg(site.folder / "host/keys/host", "--yes", "--delete-keys", site.pairs.station.fingerprint)


def _expire_signer(site: Site) -> None:
    """Give the host a newer signing key that has expired since."""
    with site.ring() as ring:
        ring.make(
            "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign\nCreation-Date: 20260101T000000\n"
            f"Expire-Date: 20260201T000000\nName-Real: {HOST}\nName-Comment: watchkeep host\n"
            f"Passphrase: {ring.passphrase()}\n%commit\n",
            HOST,
        )
    _gpg(site.folder / "host/keys/host", "--yes", "--delete-secret-and-public-key", site.pairs.host.fingerprint)


@pytest.mark.trial("B-4")
@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        pytest.param(lambda site: _host_passphrase(site).unlink(), PassphraseMissing, id="no passphrase file"),
        pytest.param(lambda site: _host_passphrase(site).write_text("\n"), PassphraseMissing, id="empty passphrase"),
        pytest.param(lambda site: _host_passphrase(site).chmod(0o644), PassphraseMissing, id="open passphrase"),
        pytest.param(lambda site: _host_passphrase(site).write_text("wrong\n"), PassphraseWrong, id="wrong passphrase"),
        pytest.param(lambda site: shutil.rmtree(site.folder / "host/keys/host"), KeyMissing, id="no key folder"),
        pytest.param(_drop_recipient, KeyMissing, id="no encryption key"),
        pytest.param(_expire_signer, KeyExpired, id="expired signing key"),
    ],
)
def test_a_run_without_its_keys_ends_at_once_with_its_own_exit_code(site: Site, spoil, kind) -> None:  # type: ignore[no-untyped-def] # parametrised
    spoil(site)
    began = time.monotonic()
    done = site.bkp("host", "run", SET)
    assert (done.returncode, time.monotonic() - began < _AT_ONCE_SECONDS) == (kind.exit_code, True), done.stderr
    assert site.state()["last_run"]["exit_code"] == kind.exit_code
    assert not site.points.exists()


@pytest.mark.trial("B-4")
@pytest.mark.parametrize(
    ("passphrase", "kind"), [(None, PassphraseMissing), ("", PassphraseMissing), ("wrong", PassphraseWrong)]
)
def test_the_station_names_what_is_wrong_with_its_passphrase(
    site: Site, passphrase: str | None, kind: type[PassphraseWrong | PassphraseMissing]
) -> None:
    file = site.folder / "station/keys/station.passphrase"
    if passphrase is None:
        file.unlink()
    else:
        file.write_text(f"{passphrase}\n")
    began = time.monotonic()
    done = site.bkp("station", "key", "test")
    assert (done.returncode, time.monotonic() - began < _AT_ONCE_SECONDS) == (kind.exit_code, True), done.stderr


def _other_key(site: Site) -> None:
    """Leave the station with a key that nothing was encrypted to, and with the host it knows."""
    home = site.folder / "station/keys/station"
    with site.ring("station") as ring:
        make_station_pair(ring, "other")
    _gpg(home, "--yes", "--delete-secret-and-public-key", site.pairs.station.fingerprint)


@pytest.mark.trial("B-4")
def test_every_command_that_reads_names_what_is_wrong_with_the_stations_key_and_never_asks(
    site: Site, figure: Callable[[str], None]
) -> None:
    site.run()
    longest = 0.0
    file = site.folder / "station/keys/station.passphrase"
    kept = file.read_text()
    reading = [["restore", SET, "--to", str(site.folder / "to")], ["ls", SET], ["find", "words"], ["diff", SET, "now"]]

    def other_key() -> None:
        _write_private(file, kept)
        _other_key(site)

    spoilt: list[tuple[Callable[[], None], type[BackupError]]] = [
        (file.unlink, PassphraseMissing),
        (lambda: _write_private(file, "wrong\n"), PassphraseWrong),
        (other_key, KeyWrong),
    ]
    for spoil, kind in spoilt:
        spoil()
        for command in reading:
            code, said, seconds = _at_a_terminal(site.command("station", *command))
            assert (code, seconds < _AT_ONCE_SECONDS) == (kind.exit_code, True), said
            assert "bkp: " in said
            longest = max(longest, seconds)
    assert not (site.folder / "to").exists()
    figure(
        f"B-4: {len(spoilt) * len(reading)} commands at a terminal without the right key ended within {longest:.1f} s"
    )


@pytest.mark.trial("B-4")
def test_an_encryption_key_that_has_expired_ends_the_run_at_once(site: Site) -> None:
    with site.ring("station") as station:
        expired = station.make(
            "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: cert,sign\nSubkey-Type: ECDH\nSubkey-Curve: cv25519\n"
            "Subkey-Usage: encrypt\nCreation-Date: 20260101T000000\nExpire-Date: 20260201T000000\n"
            f"Name-Real: station1\nName-Comment: {STATION_MARK}\nPassphrase: {station.passphrase()}\n%commit\n",
            "station1",
        )
        public = station.export_public(expired)
    with site.ring() as host:
        host.bring(public, may_be_secret=False)
    _drop_recipient(site)
    done = site.bkp("host", "run", SET)
    assert done.returncode == KeyExpired.exit_code, done.stderr
    assert "bring a newer public key" in done.stderr


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)


def _at_a_terminal(command: list[str]) -> tuple[int, str, float]:
    """Run a program at a terminal nobody types at: what asks would hang, and be killed."""
    began = time.monotonic()
    inner, outer = pty.openpty()
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdin=outer, stdout=outer, stderr=outer, start_new_session=True, close_fds=True
    )
    os.close(outer)
    said = b""
    with suppress(OSError):  # the terminal has gone with its last user
        while piece := os.read(inner, 4096):
            said += piece
    os.close(inner)
    return process.wait(300), said.decode(errors="replace"), time.monotonic() - began


def test_what_is_encrypted_to_another_key_is_told_from_a_wrong_passphrase(site: Site) -> None:
    with site.ring() as host, pytest.raises(KeyWrong):
        decrypt(host, encrypt(host, "x", host.recipients((), _NOW)))


def test_the_decryption_key_is_nowhere_on_the_host(site: Site) -> None:
    site.run()
    host = site.folder / "host"
    assert site.pairs.station.fingerprint not in _secrets(host / "keys/host")
    assert site.pairs.host.fingerprint in _secrets(host / "keys/host")
    found = Path(tempfile.mkdtemp(prefix="wk-", dir=site.folder))
    for path in host.rglob("*"):
        if path.is_file():
            _gpg(found, "--import", str(path), may_fail=True)
    assert site.pairs.station.fingerprint not in _secrets(found)
    volume = next(path for path in site.chains.rglob("*.vol1.*"))
    assert b"No secret key" in _gpg(host / "keys/host", "--decrypt", str(volume), may_fail=True).stderr


def test_a_host_takes_no_decryption_key_and_does_not_run_with_one(site: Site) -> None:
    with site.ring("station") as station:
        (site.folder / "secret.asc").write_text(station.export_secret(site.pairs.station))
    assert site.bkp("host", "key", "import", str(site.folder / "secret.asc")).returncode == KeyForbidden.exit_code
    assert site.pairs.station.fingerprint not in _secrets(site.folder / "host/keys/host")
    _gpg(site.folder / "host/keys/host", "--import", str(site.folder / "secret.asc"))
    assert site.bkp("host", "run", SET).returncode == KeyForbidden.exit_code


def test_a_station_key_that_was_revoked_is_named_before_anything_is_read(site: Site) -> None:
    with site.ring("station") as station:
        revocation = (station.home / "openpgp-revocs.d" / f"{site.pairs.station.fingerprint}.rev").read_text()
    (site.folder / "revoked.asc").write_text(revocation.replace(":-----BEGIN", "-----BEGIN"))
    _gpg(site.folder / "host/keys/host", "--import", str(site.folder / "revoked.asc"))
    for command in (["run", SET], ["doctor"]):
        ended = site.bkp("host", *command)
        assert "was revoked" in ended.stdout + ended.stderr, ended
        assert ended.returncode in (KeyMissing.exit_code, 2)


def test_a_host_that_gives_its_key_another_hosts_name_signs_for_itself_only(site: Site) -> None:
    home, secret = site.folder / "host/keys/host", ("--passphrase-file", str(_host_passphrase(site)))
    other = f"other ({HOST_MARK})"
    _gpg(home, *secret, "--quick-add-uid", site.pairs.host.fingerprint, other)
    _gpg(home, *secret, "--quick-set-primary-uid", site.pairs.host.fingerprint, other)
    for number, of_it in enumerate(([], ["--export-filter", f"keep-uid=uid={other}"])):
        public = site.folder / f"{number}.asc"
        public.write_bytes(_gpg(home, "--armor", *of_it, "--export", site.pairs.host.fingerprint).stdout)
        refused = site.bkp("station", "key", "import", str(public))
        assert (refused.returncode, other in refused.stderr) == (KeyBusy.exit_code, True), refused.stderr
    with site.ring("station") as station:
        assert station.signers() == {HOST: {site.pairs.host.fingerprint}}


def test_a_key_comes_back_from_its_sheet_and_decrypts(site: Site) -> None:
    with site.ring("station") as station:
        sealed = encrypt(station, "kept", [site.pairs.station])
        sheet = draw_up(
            site.pairs.station, station.export_secret(site.pairs.station), "station1", station.passphrase_file
        )
    assert station.passphrase() not in sheet.text
    for number, text in enumerate((sheet.text, "\n".join(reversed(qr_texts(sheet))))):
        home = site.folder / f"new-{number}"
        make_folder(home)
        with KeyRing(home, site.folder / "station/keys/station.passphrase") as ring:
            (key,) = ring.bring(*read_sheets(text), may_be_secret=True)
            assert (key.fingerprint, key.has_secret) == (site.pairs.station.fingerprint, True)
            assert decrypt(ring, sealed) == "kept"


@pytest.mark.parametrize("failures", [1, 2, 1_000])
def test_a_sheet_comes_in_whole_or_its_import_fails_when_gpgs_agent_does(site: Site, failures: int) -> None:
    with site.ring("station") as station:
        sheet = sheet_of(station, site.pairs.station, "station1")
    home, agent = site.folder / "new", site.folder / "agent"
    make_folder(home)
    (site.folder / "sheet.txt").write_text(sheet.text)
    agent.write_text(
        f"#!/bin/sh\necho >> {agent}.starts\n"
        f'[ "$(wc -l < {agent}.starts)" -gt {failures} ] && exec gpg-agent "$@"\nexit 1\n'
    )
    agent.chmod(0o755)
    (home / "gpg.conf").write_text(f"agent-program {agent}\n")
    brought = site.bkp("station", "key", "import", str(site.folder / "sheet.txt"), "--key", str(home))
    (home / "gpg.conf").unlink()
    if failures > 2:
        assert (brought.returncode, "agent" in brought.stderr) == (EngineFailed.exit_code, True), brought
        return
    assert brought.returncode == 0, brought.stderr
    with KeyRing(home, site.folder / "station/keys/station.passphrase") as ring:
        assert ring.signers() == {HOST: {site.pairs.host.fingerprint}}
        assert {key.fingerprint for key in ring.decryption_keys()} == {site.pairs.station.fingerprint}


def test_a_ring_whose_list_gpg_cannot_finish_is_not_taken_for_an_empty_one(site: Site) -> None:
    home = site.folder / "station/keys/station"
    (home / "gpg.conf").write_text("agent-program /bin/false\n")
    with site.ring("station") as station, pytest.raises(EngineFailed, match="agent"):
        station.demand_no_decryption_key()


def test_the_sheet_is_asked_for_until_it_is_said_to_be_safe(site: Site) -> None:
    printed = site.bkp("station", "key", "escrow", "--html", str(site.folder / "sheet.html"))
    assert printed.returncode == 0
    page = site.folder / "sheet.html"
    assert page.stat().st_mode & 0o077 == 0
    assert page.read_text().count("<svg") == 4  # the station's key and the host's public one
    assert "not known to be safe" in site.bkp("station", "key", "test").stderr
    assert site.bkp("station", "key", "confirm").returncode == 0
    assert "not known to be safe" not in site.bkp("station", "key", "test").stderr


def test_keys_are_made_and_carried_by_command(site: Site) -> None:
    for role in ("host", "station"):
        shutil.rmtree(site.folder / role / "keys")
    assert "SECRET KEY" in site.bkp("station", "key", "make", "station", "--days", "10").stdout
    (site.folder / "s.asc").write_text(site.bkp("station", "key", "export", "station").stdout)
    assert site.bkp("host", "key", "make", "host").returncode == 0
    assert site.bkp("host", "key", "make", "host").returncode == 16
    assert site.bkp("host", "key", "import", str(site.folder / "s.asc")).returncode == 0
    (site.folder / "h.asc").write_text(site.bkp("host", "key", "export", "host").stdout)
    assert site.bkp("station", "key", "import", str(site.folder / "h.asc")).returncode == 0
    assert "PRIVATE" not in (site.folder / "s.asc").read_text() + (site.folder / "h.asc").read_text()
    tried = site.bkp("host", "key", "test")
    assert (tried.returncode, "expires on" in tried.stderr) == (0, True)


def test_expiry_is_warned_of_thirty_days_ahead(site: Site) -> None:
    with site.ring() as ring:
        key = make_host_pair(ring, HOST, timedelta(days=40))
    for days, is_warned in ((5, False), (15, True), (39, True)):
        assert bool(reminders(ring.home, [key], _NOW + timedelta(days=days))) is is_warned


def test_a_signature_is_of_the_text_it_stands_below(site: Site) -> None:
    with site.ring() as ring:
        signed = clear_sign(ring, '{"a": 1}\n- b\n', site.pairs.host)
        assert verify(ring, signed).text == '{"a": 1}\n- b\n'
        cut = signed[: signed.index("-----BEGIN PGP SIG")]
        for spoilt in (signed.replace("1", "2", 1), "", "no signature", cut, f"put before\n{signed}"):
            with pytest.raises(SignatureBad):
                verify(ring, spoilt)


def test_what_only_unpacks_to_much_is_refused_unread(site: Site) -> None:
    home = site.folder / "host/keys/host"
    command = ["gpg", "--homedir", str(home), "--batch", "--armor", "--store"]
    packed = subprocess.run(
        command, input=bytes(20 << 20), capture_output=True, check=True, timeout=300
    ).stdout.decode()
    assert len(packed) < 100_000
    with site.ring() as ring, pytest.raises(SignatureBad, match="no signed text"):
        verify(ring, packed)


def test_a_passphrase_that_is_there_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    assert make_passphrase_file(file)
    words = file.read_text()
    assert len(words) == 36
    assert not make_passphrase_file(file)
    assert file.read_text() == words
    assert file.stat().st_mode & 0o777 == 0o600


def _secrets(home: Path) -> str:
    return _gpg(home, "--list-secret-keys", "--with-colons").stdout.decode()


def _gpg(home: Path, *arguments: str, may_fail: bool = False) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        ["gpg", "--batch", "--homedir", str(home), "--pinentry-mode", "loopback", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert may_fail or done.returncode == 0, done.stderr
    return done


def test_an_installation_whose_station_passphrase_has_its_old_name_goes_on_with_it() -> None:
    data = Path(tempfile.mkdtemp(prefix="wk-up-"))
    try:
        made = prepare_backups(Layout(data=data), "web1", "postgresql://w:secret@localhost/w")
        new, old = data / "restore-station/keys.passphrase", data / "restore-station/passphrase"
        kept = new.read_text()
        new.rename(old)
        again = prepare_backups(Layout(data=data), "web1", "postgresql://w:secret@localhost/w")
        assert (again.station_file, again.notes) == (made.station_file, made.notes)
        assert (new.read_text(), old.exists()) == (kept, False)
        assert made.station_file is not None
        assert read_settings(made.station_file).keys.station_passphrase_file == new
    finally:
        shutil.rmtree(data, ignore_errors=True)


def test_a_pair_whose_making_is_broken_off_leaves_no_agent_folder_or_passphrase() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="wk-keys-") as name,
        HeldGpg(Path(name), "--gen-key", is_ours_too=True) as held,
    ):
        config = Path(name) / "backup.toml"
        config.write_text('host = "vault"\n[keys]\nstation = "keys/station"\n')
        with subprocess.Popen(
            [sys.executable, "-m", "backup.command", "key", "make", "station", "--config", str(config)],
            env=held.environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        ) as making:  # fmt: skip
            held.wait("a gpg that makes a pair")
            everybody = family([making.pid])
            making.terminate()
            _, said = making.communicate(timeout=_WAIT_SECONDS)
        assert (making.returncode, said) == (Cancelled.exit_code, "bkp: ended by SIGTERM\n")
        assert not list((Path(name) / "keys").iterdir())
        wait_until(lambda: not any(each.is_there for each in everybody), _WAIT_SECONDS, "the end of all it started")
        _await_no_agent(Path(name))


def test_an_agent_that_gpg_is_about_to_start_ends_with_who_is_broken_off(site: Site) -> None:
    home = site.folder / "station/keys/station"
    folder = site.folder / "slow-gpg"
    folder.mkdir()
    script = folder / "gpg"
    is_late = f'case "$*" in *--list-secret-keys*) touch "{folder}/begun"; sleep 1;; esac'
    script.write_text(f'#!/bin/sh\n{is_late}\nexec {shutil.which("gpg")} "$@"\n')
    script.chmod(0o755)
    with subprocess.Popen(
        site.command("station", "predict"), env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}, cwd=CHECKOUT,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as predicting:  # fmt: skip
        wait_until((folder / "begun").exists, _WAIT_SECONDS, "a gpg that looks for secret keys")
        everybody = family([predicting.pid])
        predicting.terminate()
    wait_until(lambda: not any(each.is_there for each in everybody), _WAIT_SECONDS, "the end of all it started")
    _await_no_agent(home)


def _await_no_agent(folder: Path) -> None:
    """Wait for the end of an agent that was told to end; one that nobody told stays for good."""
    wait_until(lambda: not _agents_of(folder), _WAIT_SECONDS, "the end of gpg's agent")


def _agents_of(folder: Path) -> list[str]:
    running = [command_of(int(each.name)) for each in Path("/proc").iterdir() if each.name.isdigit()]
    return [each for each in running if "gpg-agent" in each and str(folder) in each]
