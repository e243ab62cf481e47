"""A whole proxy for tests, between real sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from core.config.reader import ByteSize
from core.config.upstreams import UpstreamSettings
from core.runtime.clock import SystemClock
from core.security.keys import key_text
from core.wire.curve import load_or_create
from core.wire.messages import Configuration
from core.wire.publisher import Upstream
from proxy.daemon import run_proxy
from proxy.settings import ProxySettings
from tests.support.links import SHORT, end, peer_of
from tests.support.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from core.security.authority import Peer
    from core.wire.collector import Collector, LinkView
    from tests.support.links import End


class Middle:
    """A proxy in `folder`; `stop` and `start` again keep its ports, its keys and its disk."""

    def __init__(self, folder: Path, servers: Sequence[Upstream], *, spool_limit: int = 64 << 20) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.keys = load_or_create(folder.with_suffix(".key"))
        self._servers = servers
        self._spool_limit = spool_limit
        self._ports = (0, 0)
        self._task: asyncio.Task[None] | None = None
        self.collector: Collector | None = None

    @property
    def peer(self) -> Peer:
        return peer_of(self.keys, source=None, role="proxy", name="middle")

    @property
    def upstream(self) -> Upstream:
        return Upstream(endpoint=f"tcp://127.0.0.1:{self._ports[0]}", key=self.keys.public)

    async def start(self) -> None:
        settings = ProxySettings(
            name="middle",
            data=self.folder,
            key_file=self.folder.with_suffix(".key"),
            control_port=self._ports[0],
            data_port=self._ports[1],
            spool_limit=ByteSize(self._spool_limit),
            servers=tuple(UpstreamSettings(endpoint=s.endpoint, key=key_text(s.key)) for s in self._servers),
        )
        ready = asyncio.Event()

        def note(collector: Collector) -> None:
            self.collector = collector
            ready.set()

        self._task = asyncio.create_task(run_proxy(settings, SystemClock(), timings=SHORT, on_ready=note))
        self._task.add_done_callback(lambda _: ready.set())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ready.wait()
        if self._task.done():
            self._task.result()
        assert self.collector is not None
        self._ports = (self.collector.control_port, self.collector.data_port)

    @property
    def links(self) -> list[LinkView]:
        """The proxy's live links."""
        return self.collector.links() if self.collector is not None else []

    async def stop(self) -> None:
        """End the proxy; its disk stays."""
        if self._task is not None:
            await end(self._task)
            self._task = None


def knowledge(
    peers: Sequence[Peer],
    documents: Mapping[bytes, dict[str, Any]] | None = None,
    *,
    epoch: int = 1,
    version: int = 1,
    is_full: bool = True,
) -> Configuration:
    """What a server tells a proxy."""
    return Configuration(
        epoch=epoch,
        version=version,
        body={
            "full": is_full,
            "peers": [[peer.key, peer.role, peer.name, peer.source or b"", peer.revoked] for peer in peers],
            "documents": [[source, body["version"], body] for source, body in (documents or {}).items()],
        },
    )


async def teach(server: End, middle: Middle, message: Configuration) -> bool:
    """Let the server configure the proxy; False while there is no link."""
    return await server.collector.send(middle.keys.public, message)
