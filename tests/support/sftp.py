"""A real SFTP server on loopback: OpenSSH's, with a host key, a user key under a passphrase, and a password."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.devices import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSPHRASE: Final = "of-the-key"
PASSWORD: Final = "of-the-account"


class SftpServer(Sshd):
    """OpenSSH's server for root, who has a password here; it lies in a file that only this server sees."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.more = ""
        shutil.copy(folder / "user_key", folder / "locked_key")
        subprocess.run(
            ["ssh-keygen", "-q", "-p", "-N", PASSPHRASE, "-f", str(folder / "locked_key")], check=True, timeout=120
        )
        (folder / "known_hosts").write_text(self.known_as(folder / "host_key.pub"))
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], check=True, capture_output=True, text=True, timeout=120
        ).stdout.strip()
        (folder / "shadow").write_text(f"root:{hashed}:19000:0:99999:7:::\n")

    def known_as(self, public_key: Path) -> str:
        """Return the line of a known_hosts file that says this server has this key."""
        return f"[127.0.0.1]:{self.port} {public_key.read_text()}"

    def command(self) -> list[str]:
        command = super().command()
        config = self.folder / "sshd_config"
        text = config.read_text().replace("PasswordAuthentication no", "PasswordAuthentication yes")
        config.write_text(f"{text}PermitRootLogin yes\nSubsystem sftp internal-sftp {self.more}\n")
        mounting = f'mount --bind "{self.folder / "shadow"}" /etc/shadow && exec "$@"'
        return ["unshare", "--mount", "--propagation=private", "sh", "-c", mounting, "sh", *command]


@pytest.fixture(scope="module")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    server = SftpServer(tmp_path_factory.mktemp("sftp"))
    try:
        yield server.start()
    finally:
        server.stop()
