"""Real devices for tests: an snmpd (v2c and v3) and an sshd, children on loopback ports of their own."""

from __future__ import annotations

import base64
import getpass
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from core.runtime.ports import free_port
from tests.support.processes import family, signal_if_there

COMMUNITY = "a-community"
USER, AUTH, PRIVACY = "watcher", "auth-password-1", "privacy-password-1"


class Daemon:
    """A child in the foreground; `stop` and `start` again keep its port and its files."""

    kind = socket.SOCK_STREAM

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port(kind=self.kind)
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> Self:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def stop(self) -> None:
        """Kill it and its descendants: sshd has one for each connection."""
        if self._process is not None:
            for one in family([self._process.pid]):
                signal_if_there(one, signal.SIGKILL)
            self._process.wait(timeout=60)
            self._process = None

    def freeze(self) -> None:
        """Keep it from answering without ending it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]


class Snmpd(Daemon):
    """Net-SNMP's agent with a community and a user with authentication and encryption."""

    kind = socket.SOCK_DGRAM

    def command(self) -> list[str]:
        (self.folder / "snmpd.conf").write_text(
            f"rocommunity {COMMUNITY} 127.0.0.1\n"
            f"createUser {USER} SHA-256 {AUTH} AES {PRIVACY}\n"
            f"rouser {USER} authpriv\n"
            "sysName a-device\nsysLocation here\n"
        )
        return [
            *("/usr/sbin/snmpd", "-f", "-Le", "-C", "-c", str(self.folder / "snmpd.conf")),
            *("-I", "-smux,-mteTrigger,-disman", "-p", str(self.folder / "pid")),
            f"--persistentDir={self.folder}",
            f"udp:127.0.0.1:{self.port}",
        ]


class Sshd(Daemon):
    """OpenSSH's server under the account of the tests, with a host key and an accepted key of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for name in ("host_key", "user_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=120
            )
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        self.user = getpass.getuser()

    @property
    def host_key(self) -> str:
        """The fingerprint."""
        key = base64.b64decode((self.folder / "host_key.pub").read_text().split()[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")

    @property
    def user_key(self) -> str:
        return (self.folder / "user_key").read_text()

    def command(self) -> list[str]:
        (self.folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder / 'host_key'}\n"
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}\nPidFile {self.folder / 'pid'}\n"
            # What the account's shell would read at its start is no business of a test, and may take its time.
            f"SetEnv HOME={self.folder}\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of root wants it for its unprivileged part
        return ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def connections(self) -> int:
        """How many logins there were."""
        return (self.folder / "log").read_text(errors="replace").count("Accepted publickey")

    def start(self) -> Self:
        super().start()
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, f"sshd does not listen:\n{self.log()}"
                time.sleep(0.02)
            else:
                return self


def device_folder() -> Path:
    """Return a new folder outside of pytest's, whose path may be too long or too private for a daemon."""
    return Path(tempfile.mkdtemp(prefix="watchkeep-device-"))
