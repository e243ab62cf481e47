"""When `watchkeep up` starts its agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from core.wire.curve import load_or_create
from core.wire.messages import Configuration
from proxy.configuration import FILE, ProxyConfiguration
from tests.support.waiting import until
from watchkeep.up import admission
from watchkeep.up.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_the_agent_is_waited_with_until_the_proxy_was_told_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(data=tmp_path)
    layout.make()
    layout.proxy.mkdir()
    key = load_or_create(layout.key_file("agent")).public
    told = ProxyConfiguration(layout.proxy / FILE)
    told.see_epoch(1)  # the server is there, and has named nobody yet
    looks: list[Path] = []

    def look(file: Path) -> ProxyConfiguration:
        looks.append(file)
        return ProxyConfiguration(file)

    monkeypatch.setattr(admission, "ProxyConfiguration", look)
    waiting = asyncio.create_task(admission.await_admission(layout))
    await until(lambda: len(looks) > 1)
    assert not waiting.done()
    peers = [[key, "agent", "vm", bytes(16), False]]
    told.apply(Configuration(epoch=1, version=1, body={"full": True, "peers": peers, "documents": []}))
    await waiting
