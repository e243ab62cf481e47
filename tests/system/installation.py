"""The real `watchkeep up`, driven as its user does: a command, Ctrl-C, and what it wrote."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SetBusy
from core.runtime.account import account_for
from tests.support.api import Api
from tests.support.processes import children_of, command_of, family, living, signal_if_there
from tests.support.waiting import wait_until
from tests.system.ports import free_gate_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes import Living

CHECKOUT: Final = Path(__file__).parents[2]
READY_SECONDS: Final = 300.0
STOP_SECONDS: Final = 240.0
BUSY_SECONDS: Final = 300.0


def watchkeep(*arguments: str, stdin: str = "", timeout_seconds: float = 300.0) -> subprocess.CompletedProcess[str]:
    """Run a command of ours to its end."""
    return subprocess.run(
        [sys.executable, "-m", "watchkeep", *arguments],
        cwd=CHECKOUT, input=stdin, capture_output=True, text=True, timeout=timeout_seconds, check=False,
    )  # fmt: skip


@dataclass
class LocalWatchkeep:
    """One installation in `folder`, running or not. `starts` holds the seconds each start took until ready."""

    folder: Path
    options: tuple[str, ...] = ()
    starts: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    first_values_seconds: float = 0.0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def host(self) -> str:
        """The name under which it watches this machine."""
        name: str = json.loads((self.data / "agent-identity.json").read_text())["name"]
        return name

    @property
    def ready_file(self) -> Path:
        return self.folder / "ready.json"

    @property
    def output(self) -> str:
        """What `up` itself printed at all its starts."""
        return (self.folder / "output").read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        assert not self.is_running
        stale = self._read_ready_file()
        began = time.monotonic()
        command = [sys.executable, "-m", "watchkeep", "up", "--port", "0", "--data", str(self.data), *self.options]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--ready-file", str(self.ready_file)],
                cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        process = self.process

        def is_ready() -> bool:
            assert process.poll() is None, f"`up` ended with {process.returncode}:\n{self.output}"
            return self._read_ready_file() not in ("", stale)

        wait_until(is_ready, READY_SECONDS, "a ready Watchkeep")
        self.starts.append(time.monotonic() - began)
        self.facts = json.loads(self.ready_file.read_text())

    def _read_ready_file(self) -> str:
        try:
            return self.ready_file.read_text()
        except FileNotFoundError:
            return ""

    def ensure_running(self) -> None:
        if not self.is_running:
            self.start()

    def interrupt(self) -> int:
        """Ctrl-C; return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL to `up` itself, and to nothing else."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def bkp(self, *arguments: str, config: Path) -> subprocess.CompletedProcess[str]:
        """Call `bkp` as the installation's parts do: as their account.

        Some minutes after a start its agent saves what was never saved, and `up` prunes; what they are at is asked for
        again once they have done it.
        """
        account = account_for(self.data, [Path(sys.executable)])
        command = [*account.prefix, sys.executable, "-m", "backup.command", *arguments, "--config", str(config)]
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            done = subprocess.run(
                command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=900,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            if done.returncode != SetBusy.exit_code or time.monotonic() > deadline:
                return done

    def members(self) -> set[Living]:
        """Return every process of the running installation."""
        return family(self.facts["pids"].values())

    def part(self, name: str) -> Living:
        """Return the process of a part as of the start."""
        return living(self.facts["pids"][name])

    def daemon(self, name: str) -> Living | None:
        """Return the running process of a daemon, whichever start it is of."""
        config = str(self.data / f"{name}.toml")
        assert self.process is not None
        found = [one for one in children_of(self.process.pid) if f"--config {config}" in one.command]
        return found[0] if found else None

    def api(self) -> Api:
        """Return a signed-in caller."""
        api = Api(self.facts["url"])
        assert api.sign_in(self.facts["user"], self.facts["password"]) == 200
        return api

    def proxy(self) -> tuple[str, str]:
        """Return endpoint and public key of the proxy that takes agents in."""
        (upstream,) = tomllib.loads((self.data / "agent.toml").read_text())["upstreams"]
        return upstream["endpoint"], upstream["key"]

    def postgres_log(self) -> str:
        """Return what the database has said, in order: a file a day, named by the day of the week."""
        files = (self.data / "postgres" / "logs").iterdir()
        return "".join(path.read_text() for path in sorted(files, key=lambda path: path.stat().st_mtime))

    def log(self, part: str) -> str:
        return (self.data / "log" / f"{part}.log").read_text()

    def crashes(self) -> list[str]:
        """Return what `up` says of parts that ended by themselves: not by a signal, which a test may have sent."""
        lines = [line for line in self.output.splitlines() if "a part ended and is started again" in line]
        return [line for line in lines if "code=-" not in line]

    def clear(self) -> None:
        """End whatever is left of it, so that a failed test leaves nothing running."""
        members = self.members() if self.is_running else set()
        if self.is_running:
            try:
                self.interrupt()
            except subprocess.TimeoutExpired:
                self.kill()
        postmaster = self.data / "postgres" / "cluster" / "postmaster.pid"
        if postmaster.exists():
            pid = int(postmaster.read_text().split()[0])
            members |= {one for one in family([pid]) if str(self.data) in command_of(pid)}
        for one in members:
            signal_if_there(one, signal.SIGKILL)


@contextmanager
def gated_watchkeep(address: str = "127.0.0.1") -> Iterator[LocalWatchkeep]:
    """A started installation of its own, which lets other hosts in at `address`; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-gated-"))
    folder.chmod(0o755)  # where the checkout is reachable for an account, the data shall be too
    made = LocalWatchkeep(folder, options=("--listen", f"{address}:{free_gate_port(address)}"))
    try:
        made.start()
        yield made
        assert not made.crashes(), "a part ended by a fault of its own, and nobody noticed but its log"
    finally:
        made.clear()
        shutil.rmtree(folder)
