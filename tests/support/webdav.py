"""A real WebDAV server on loopback: Apache's, and configurations of rclone that know it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pytest

from tests.support.devices import Daemon
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES: Final = 16 << 10
"""Of one request below /narrow. So little is sent at once: a client in its middle may hear nothing but a reset."""
HOST_USER, KEEPER = "web1", "keeper"
"""Two accounts: who writes, and who may also delete and rename."""
_PASSWORD = "of-the-accounts"
_MODULES: Final = (
    "mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dav", "dav_fs", "rewrite",
)  # fmt: skip
_START_SECONDS: Final = 120.0


class WebDav(Daemon):
    """Apache below `folder`; what clients put there lies in `files`. `fault`: while this file exists it answers 500."""

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="watchkeep-dav-")))
        self.folder.chmod(0o755)  # root's Apache serves as nobody
        self.files, self.fault = self.folder / "files", self.folder / "fault"
        for folder in (self.files, self.files / "narrow", self.folder / "locks"):
            folder.mkdir()
            if os.geteuid() == 0:
                shutil.chown(folder, "nobody", "nogroup")
        hashed = subprocess.run(
            ["openssl", "passwd", "-apr1", _PASSWORD], check=True, capture_output=True, text=True, timeout=120
        ).stdout
        (self.folder / "users").write_text(f"{HOST_USER}:{hashed}{KEEPER}:{hashed}")
        self.config = self.write_config("rclone.conf")
        self.host_config = self.write_config("host.conf", user=HOST_USER)

    def command(self) -> list[str]:
        own = "User nobody\nGroup nogroup\n" if os.geteuid() == 0 else ""
        modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in _MODULES)
        (self.folder / "apache.conf").write_text(
            f"ServerRoot {self.folder}\nServerName 127.0.0.1\nListen 127.0.0.1:{self.port}\nPidFile pid\n"
            f"ErrorLog log\n{modules}{own}DavLockDB locks/db\nDocumentRoot {self.files}\n"
            f"<Location />\nDav On\nAuthType Basic\nAuthName backups\nAuthUserFile {self.folder}/users\n"
            "<LimitExcept DELETE MOVE>\nRequire valid-user\n</LimitExcept>\n"
            f"<Limit DELETE MOVE>\nRequire user {KEEPER}\n</Limit>\n"
            f"RewriteEngine On\nRewriteCond {self.fault} -f\nRewriteRule ^ - [R=500]\n</Location>\n"
            f"<Location /narrow>\nLimitRequestBody {MOST_BYTES}\n</Location>\n"
        )
        return ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", str(self.folder / "apache.conf")]

    def start(self) -> Self:
        super().start()
        wait_until(self._listens, _START_SECONDS, "an Apache that listens")
        return self

    def write_config(
        self, name: str, *, user: str = KEEPER, port: int | None = None, password: str = _PASSWORD, more: str = ""
    ) -> Path:
        """Write a configuration of rclone whose remote `dav` is this server; `more`: further remotes."""
        hidden = subprocess.run(
            ["rclone", "obscure", "-"], input=password, check=True, capture_output=True, text=True, timeout=120
        ).stdout.strip()
        file = self.folder / name
        file.write_text(
            f"[dav]\ntype = webdav\nurl = http://127.0.0.1:{port or self.port}/\nvendor = other\nuser = {user}\n"
            f"pass = {hidden}\n{more}"
        )
        return file

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@pytest.fixture(scope="module")
def webdav() -> Iterator[WebDav]:
    server = WebDav()
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(server.folder)
