"""What an SSH server may do to whoever asks it, played by a server of paramiko's."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from probes.declaration import SilentError
from probes.device import Device, DeviceVisit, Shared, SshAccess
from probes.ssh.connections import Connections, _fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Mute(paramiko.ServerInterface):
    """Lets everybody in, and never says whether it runs what it is asked to run."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - paramiko's signature
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:  # noqa: ARG002 - paramiko's signature
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002 - paramiko's signature
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:  # noqa: ARG002 - paramiko's signature
        self.ended.wait(120)
        return False


@contextmanager
def mute_server() -> Iterator[tuple[int, str]]:
    """Serve one connection on loopback; yields port and fingerprint."""
    key, interface = paramiko.ECDSAKey.generate(), _Mute()
    served: list[paramiko.Transport] = []

    def serve() -> None:
        link, _ = listener.accept()
        served.append(paramiko.Transport(link))
        served[0].add_server_key(key)
        served[0].start_server(threading.Event(), interface)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], _fingerprint(key.asbytes())
        finally:
            interface.ended.set()
            thread.join(60)
            for each in served:
                each.close()


async def test_one_that_never_answers_a_command_holds_its_slot_no_longer_than_the_command_may_take(
    tmp_path: Path,
) -> None:
    (tmp_path / "password").write_text("x")
    with mute_server() as (port, fingerprint):
        access = SshAccess(port=port, user="u", password_file="password", host_key=fingerprint)
        visit = DeviceVisit(Device(host="mute", address="127.0.0.1", ssh=access), tmp_path, Shared())
        connections = Connections()
        began = time.monotonic()
        try:
            async with asyncio.timeout(55):
                with pytest.raises(SilentError, match="no answer in time"):
                    await connections.run(visit, "true", 0.3)
        finally:
            connections.close()
        assert time.monotonic() - began >= 0.3
