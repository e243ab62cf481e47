"""A real agent process, started as an administrator would."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from core.security.keys import key_text
from core.wire.curve import load_or_create

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from core.security.keys import KeyPair

SOURCE = UUID("2f9d4c1e-7f0a-4c6b-9a51-0c5d8f1b2e3a")
CHECKOUT = Path(__file__).parents[3]


def make_keys_of(folder: Path) -> KeyPair:
    """Return the key pair the agent of `folder` has."""
    return load_or_create(folder / "key")


def write_settings(folder: Path, port: int, key: bytes) -> Path:
    """Write an agent's configuration into `folder`."""
    file = folder / "agent.toml"
    file.write_text(
        f'name = "host-a"\nsource = "{SOURCE}"\ndata = "data"\nkey_file = "key"\n[[upstreams]]\n'
        f"endpoint = \"tcp://127.0.0.1:{port}\"\nkey = '{key_text(key)}'\n"
    )
    return file


@dataclass
class AgentProcess:
    """A running agent; its log comes with `end`."""

    process: asyncio.subprocess.Process
    log: str = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, return the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        _, errors = await asyncio.wait_for(self.process.communicate(), 120)
        self.log += errors.decode()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def agent_process(settings: Path, *, prefix: Sequence[str] = ()) -> AsyncIterator[AgentProcess]:
    """Run an agent by `settings` behind the command words of `prefix`; it is killed when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *prefix, sys.executable, "-m", "agent", "--config", str(settings),
        cwd=CHECKOUT, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    running = AgentProcess(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            await running.end(signal.SIGKILL)
