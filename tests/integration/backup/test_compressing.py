"""What is compressed between the gpg that signs and the gpg that encrypts: plain gpg reads it, or the volume fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from backup.engine.compression import ours
from tests.support.backups import demand_same

if TYPE_CHECKING:
    from tests.support.backups import Site

_BY_US, _BY_GPG = b":compressed packet: algo=1", b":compressed packet: algo=2"
_SIGNS_A_PART_AND_DIES = 'case "$*" in *--sign*) "$gpg" "$@" | head -c 100000; kill -9 $$ ;; esac'
_READS_A_PART_AND_ENDS = 'case "$*" in *--encrypt*) head -c 100000 >/dev/null; exit 2 ;; esac'
_WHOLE = b"[GNUPG:] DECRYPTION_OKAY"
_LIMIT_SECONDS = 120.0


def _change_gpg(site: Site, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Put the real gpg behind `words` of the shell, to which it is `$gpg`."""
    folder = site.folder / "changed-gpg"
    folder.mkdir()
    script = folder / "gpg"
    script.write_text(f'#!/bin/bash\ngpg={shutil.which("gpg")}\n{words}\nexec "$gpg" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def _read(site: Site, message: bytes, how: str) -> subprocess.CompletedProcess[bytes]:
    """Have plain gpg read a message at the station."""
    ring = site.ring("station")
    options = ["--batch", "--status-fd=2", "--pinentry-mode=loopback", f"--passphrase-file={ring.passphrase_file}"]
    return subprocess.run(
        ["/usr/bin/gpg", *options, how], env=os.environ | ring.environment(),
        input=message, capture_output=True, check=False, timeout=_LIMIT_SECONDS,
    )  # fmt: skip


def _packets(site: Site) -> bytes:
    """What the first volume of the newest chain is made of."""
    volume = min((site.chains / site.manifest()["chain"]).glob("*.vol1.difftar.gpg"))
    return _read(site, volume.read_bytes(), "--list-packets").stdout


def _encrypt(site: Site, content: bytes) -> subprocess.CompletedProcess[bytes]:
    """Sign and encrypt as duplicity would have it done."""
    ring = site.ring()
    reading, writing = os.pipe()
    os.write(writing, ring.passphrase().encode())
    os.close(writing)
    with os.fdopen(reading):
        return subprocess.run(
            [
                ours().arguments[0].removeprefix("--gpg-binary="), "--passphrase-fd", str(reading),
                "--default-key", site.pairs.host.fingerprint, "--recipient", site.pairs.station.fingerprint,
                "--batch", "--pinentry-mode=loopback", "--trust-model", "always", "--sign", "--encrypt",
            ],
            env=os.environ | ring.signing_environment() | dict(ours().environment), pass_fds=(reading,),
            input=content, capture_output=True, check=False, timeout=_LIMIT_SECONDS,
        )  # fmt: skip


def test_plain_gpg_reads_what_was_compressed_and_knows_who_signed_it(site: Site) -> None:
    content = b"some text, some noise: " * 100_000 + os.urandom(3 << 20)
    encrypted = _encrypt(site, content)
    assert encrypted.returncode == 0, encrypted.stderr
    assert len(encrypted.stdout) < 3.2 * (1 << 20)
    read = _read(site, encrypted.stdout, "--decrypt")
    assert read.returncode == 0, read.stderr
    assert read.stdout == content
    assert f"VALIDSIG {site.pairs.host.fingerprint}".encode() in read.stderr
    assert _WHOLE in read.stderr


@pytest.mark.parametrize("trouble", [_SIGNS_A_PART_AND_DIES, _READS_A_PART_AND_ENDS])
def test_a_gpg_that_dies_in_its_middle_fails_the_volume_and_leaves_no_whole_message(
    site: Site, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    _change_gpg(site, monkeypatch, trouble)
    encrypted = _encrypt(site, os.urandom(3 << 20))
    assert encrypted.returncode == 2
    assert _WHOLE not in _read(site, encrypted.stdout, "--decrypt").stderr  # of a key alone it ends with 0


def test_a_gpg_that_does_not_take_what_is_compressed_compresses_itself(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.run()
    assert _BY_US in _packets(site)
    _change_gpg(site, monkeypatch, 'set -- "${@/#--no-literal/--quiet}"')
    site.run(is_full_asked=True)
    assert _BY_GPG in _packets(site)
    demand_same(site.restore_plainly(site.folder / "back"), site.data)
