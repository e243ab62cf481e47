"""A drill's guest that QEMU stops, as it does when KVM meets what it cannot go on with."""

from __future__ import annotations

import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.proof import guest
from backup.proof.contract import Limits
from tests.support.hypervisor import make_disk
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import pytest

_WAIT_SECONDS: Final = 240.0


def _stop_guests(folder: Path, number: int) -> None:
    """Stop one guest after the other; each waits in its BIOS, which finds nothing to boot."""
    stopped: set[Path] = set()
    while len(stopped) < number:
        wait_until(
            lambda: not set(folder.glob("bkp-boot-*/monitor")) <= stopped, _WAIT_SECONDS, "a guest that is booted"
        )
        (monitor,) = set(folder.glob("bkp-boot-*/monitor")) - stopped
        with socket.socket(socket.AF_UNIX) as link:
            wait_until(lambda: link.connect_ex(str(monitor)) == 0, _WAIT_SECONDS, "its monitor")  # noqa: B023 - at once
            link.settimeout(_WAIT_SECONDS)
            link.sendall(b'{"execute": "qmp_capabilities"} {"execute": "stop"}')
            said = b""
            while b'"STOP"' not in said:
                heard = link.recv(4096)
                assert heard, said  # it ended
                said += heard
        stopped.add(monitor)


def test_a_guest_that_qemu_stops_is_booted_once_more_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "accelerators", lambda: ["tcg", "tcg"])
    empty = make_disk(tmp_path / "empty.raw", "8M", "raw")
    limits = Limits(deadline=time.monotonic() + 2 * _WAIT_SECONDS, memory_bytes=512 << 20)
    with tempfile.TemporaryDirectory(prefix="wk-") as folder, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        stopping = pool.submit(_stop_guests, Path(folder), 2)
        answer = guest.boot("<domain/>", {"vda": empty}, tmp_path, limits)
        stopping.result()
    assert (answer.file_systems, answer.words) == (None, "QEMU stopped it: paused.")
    assert answer.note == "QEMU stopped it: paused. That was by tcg; it was booted once more by emulation"
