"""The order of upstreams the server wishes: among our own only, the latest one, and also after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from agent.greeting import AgentGreeter
from agent.preference import arrange, keep_latest, read_order
from core.runtime.clock import ManualClock
from core.runtime.counters import Counters
from core.security.keys import key_text
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from core.wire.messages import Configuration
from core.wire.upstream import Upstream
from probes.registry import find_probe
from server.balancing.orders import write_order

if TYPE_CHECKING:
    from pathlib import Path

    from agent.document import Document
    from agent.preference import Order

KEYS = [bytes([n]) * 32 for n in range(1, 5)]
OWN = [Upstream(endpoint=f"tcp://127.0.0.1:{n}", key=key) for n, key in enumerate(KEYS[:3], 1)]
A, B, C = OWN


def body(number: int, *keys: bytes, interval: float = 10.0) -> dict[str, Any]:
    probes = [{"probe": "cpu", "interval_seconds": interval}]
    return {"version": 3, "probes": probes, "upstreams": write_order(number, keys)}


def test_our_own_upstreams_stand_as_the_order_wishes_and_the_others_follow_as_they_stood() -> None:
    assert arrange(OWN, None) == (A, B, C)
    assert arrange(OWN, read_order(body(1, KEYS[2]))) == (C, A, B)
    assert arrange(OWN, read_order(body(1, KEYS[1], KEYS[2], KEYS[0]))) == (B, C, A)
    assert arrange(OWN, read_order(body(1))) == (A, B, C)


def test_an_order_brings_in_no_stranger_and_takes_nobody_away() -> None:
    assert arrange(OWN, read_order(body(1, KEYS[3], KEYS[1]))) == (B, A, C)
    twice = [*OWN, Upstream(endpoint="tcp://127.0.0.1:9", key=KEYS[0])]
    assert set(arrange(twice, read_order(body(1, KEYS[2], KEYS[0], KEYS[2])))) == set(twice)


@pytest.mark.parametrize(
    "upstreams",
    [
        None,
        [],
        {},
        {"number": 1},
        {"number": "1", "keys": []},
        {"number": True, "keys": []},
        {"number": 1, "keys": "abc"},
        {"number": 1, "keys": [7]},
        {"number": 1, "keys": ["too short"]},
        {"number": 1, "keys": [key_text(KEYS[0])] * 1001},
    ],
)
def test_what_is_no_order_is_none(upstreams: Any) -> None:
    assert read_order({"upstreams": upstreams}) is None


def test_a_proxy_that_was_not_told_of_the_last_move_does_not_undo_it() -> None:
    known = body(5, KEYS[1])
    assert keep_latest(known, body(4, KEYS[0]))["upstreams"] == known["upstreams"]
    assert keep_latest(known, {"version": 4, "probes": []})["upstreams"] == known["upstreams"]
    assert keep_latest(known, body(6, KEYS[2]))["upstreams"] == write_order(6, [KEYS[2]])
    assert "upstreams" not in keep_latest(None, {"upstreams": "rubbish"})


class Scene:
    """An agent's greeter over a folder, and what it does."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox.open(folder / "spool", uuid4(), SpoolLimits(), ManualClock())
        self.greeter = AgentGreeter(
            name="a", outbox=self.outbox, file=folder / "remembered.json", find_probe=find_probe, counters=Counters()
        )
        self.applied: list[Document] = []
        self.orders: list[Order | None] = []
        self.answers: list[object] = []
        self.greeter.attach(apply=self.applied.append, answer=self._answer)
        self.greeter.reorder = self.orders.append

    async def _answer(self, message: object) -> None:
        self.answers.append(message)

    async def hear(self, body: dict[str, Any]) -> None:
        await self.greeter.configured(Configuration(epoch=1, version=body["version"], body=body))


async def test_another_order_does_not_begin_sampling_anew_and_survives_a_restart(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.hear(body(5, KEYS[1]))
    assert (len(scene.applied), len(scene.orders)) == (2, 1)  # the built-in document, then this one
    await scene.hear(body(6, KEYS[2]))
    await scene.hear(body(5, KEYS[1]))
    assert len(scene.applied) == 2
    assert [arrange(OWN, order)[0] for order in scene.orders] == [B, C]
    await scene.hear(body(5, KEYS[1], interval=20.0))
    assert (len(scene.applied), len(scene.orders)) == (3, 2)
    scene.outbox.close()
    again = Scene(tmp_path)
    assert arrange(OWN, again.greeter.order) == (C, A, B)
    assert again.applied[0].assignments[0].interval_seconds == 20.0
    again.outbox.close()
