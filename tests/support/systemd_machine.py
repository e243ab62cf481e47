"""A machine booted with systemd, as far as a program on it can tell: namespaces whose first process is a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.processes import children_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.processes import Living

BOOT_SECONDS: Final = 120.0
STOP_SECONDS: Final = 120.0
_BOOT: Final = Path(__file__).with_name("systemd_boot.sh")
_CHECKOUT: Final = Path(__file__).parents[2]
_BOOTED: Final = ("running", "degraded")  # systemctl(1), is-system-running: degraded is what a failed unit makes it


@dataclass(frozen=True)
class SystemdMachine:
    """`first` is systemd's process as this machine counts; `prefix` makes a command run over there, as root."""

    first: int
    prefix: tuple[str, ...]

    @property
    def groups(self) -> list[Path]:
        """The control groups made for it, as this machine sees them."""
        lines = Path(f"/proc/{self.first}/cgroup").read_text().splitlines()
        (name,) = {part for line in lines for part in line.split("/") if part.startswith("watchkeep-test-")}
        return list(Path("/sys/fs/cgroup").glob(f"*/{name}")) + list(Path("/sys/fs/cgroup").glob(name))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command over there to its end."""
        return subprocess.run(
            [*self.prefix, *words], cwd=_CHECKOUT, capture_output=True, text=True, timeout=120, check=False
        )

    def systemctl(self, *words: str) -> str:
        """Return what systemctl says; fails when it does."""
        done = self.run("systemctl", "--no-pager", *words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def read_units(self, **parameters: Any) -> dict[str, Any]:
        """Return what the probe tells over there to a user without privileges: `values` by key, and `failures`."""
        done = self.run(sys.executable, "-B", "-m", "tests.support.systemd_reading", json.dumps(parameters))
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextmanager
def systemd_machine(folder: Path, units: Mapping[str, str]) -> Iterator[SystemdMachine]:
    """Boot one with these unit files, `test.target` first, in `folder`; needs root, or sudo without a password."""
    for name, text in units.items():
        place = folder / "units" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    become_root = () if os.geteuid() == 0 else ("sudo", "-n")
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(
            [*become_root, "sh", str(_BOOT), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
        ) as boot,
    ):  # fmt: skip
        assert boot.stdin is not None
        assert boot.stdout is not None
        try:
            starter = int(boot.stdout.readline())

            def booting() -> list[Living]:
                return [one for one in children_of(starter) if "--unit=test.target" in one.command]

            wait_until(lambda: booting() != [], BOOT_SECONDS, "systemd's process")
            (first,) = booting()
            inside = ("nsenter", f"--target={first.pid}", "--mount", "--cgroup", "--pid", "--net", "--")
            machine = SystemdMachine(first.pid, (*become_root, *inside))

            def is_booted() -> bool:
                assert boot.poll() is None, (folder / "said").read_text()
                return machine.run("systemctl", "is-system-running").stdout.strip() in _BOOTED

            wait_until(is_booted, BOOT_SECONDS, f"the boot; it said {(folder / 'said').read_text()!r}")
            yield machine
        finally:
            boot.stdin.close()
            boot.wait(STOP_SECONDS)
