"""What a proxy tells a source that has just come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from core.security.authority import Peer
from core.wire.messages import Configuration, Hello
from proxy.configuration import ProxyConfiguration
from proxy.reception import Reception

if TYPE_CHECKING:
    from pathlib import Path

    from core.wire.messages import CollectorMessage
    from proxy.custody import Custody

SOURCE = b"s" * 16
PEER = Peer(key=b"k" * 32, role="agent", name="a", source=SOURCE)


@pytest.mark.parametrize(
    ("known_version", "extra", "is_told"),
    [
        (3, {}, False),
        (2, {}, True),
        (3, {"upstreams": {"number": 9, "keys": []}}, True),
        (3, {"rotation": {"old": "x", "new": None, "refused": None}}, True),
    ],
)
async def test_a_source_is_told_another_version_and_always_what_has_none(
    tmp_path: Path, known_version: int, extra: dict[str, Any], *, is_told: bool
) -> None:
    """An agent that was down when its home changed comes back with the version in force and the former order."""
    configuration = ProxyConfiguration(tmp_path / "configuration")
    document = {"version": 3, "probes": []} | extra
    body = {"full": True, "peers": [], "documents": [[SOURCE, 3, document]]}
    configuration.apply(Configuration(epoch=1, version=3, body=body))
    reception = Reception(cast("Custody", None), configuration)
    told: list[CollectorMessage] = []

    async def send(_key: bytes, message: CollectorMessage) -> bool:
        told.append(message)
        return True

    reception.send = send
    hello = Hello(
        protocol=1, role="agent", name="a", source=SOURCE, session=1, boots=(), configuration=known_version, epoch=1,
        software="x",
    )  # fmt: skip
    await reception.heard(PEER, hello)
    assert [cast("Configuration", message).body for message in told] == ([document] if is_told else [])
