"""The order an agent is told: its home first; the second choices of a proxy's sources are spread."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from core.security.keys import key_text
from server.balancing.orders import MOST_KEYS, order_proxies, write_order
from server.balancing.placements import Placements
from server.intake.directory import draw_directory
from server.store.peers import Assignment, PeerKey, Source
from server.store.placements import Placement

KEYS = [bytes([n]) * 32 for n in range(1, 5)]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = UUID(int=7)


def proxy(key: bytes, group: int, revoked_at: datetime | None = None) -> PeerKey:
    return PeerKey(
        key=key, role="proxy", name="p", source_id=None, source_uuid=None, group_id=group, revoked_at=revoked_at
    )


PROXIES = [proxy(KEYS[0], 1), proxy(KEYS[1], 1), proxy(KEYS[2], 2), proxy(KEYS[3], 1, revoked_at=NOW)]
SOURCES = [Source(id=1, uuid=SOURCE, name="a", host_id=1)]
TENURES = [Assignment(source_id=1, group_id=1, assigned_at=NOW, released_at=None)]
HOME = Placement(
    source_id=1, home_key=KEYS[1], number=9, kind="moved", reason="r", since=NOW, moved_at=NOW, moves=1,
    heard_key=None, bytes_per_second=0.0,
)  # fmt: skip


def test_the_home_comes_first_and_the_second_choices_are_spread_evenly() -> None:
    orders = [order_proxies(n.to_bytes(16, "big"), KEYS[0], KEYS) for n in range(900)]
    assert all(order[0] == KEYS[0] and set(order) == set(KEYS) for order in orders)
    assert min(Counter(order[1] for order in orders).values()) > 240
    assert len(write_order(1, KEYS * 10)["keys"]) == MOST_KEYS


def test_a_document_names_the_proxies_of_the_sources_group_that_may_speak() -> None:
    placements = Placements()
    directory = draw_directory(SOURCES, PROXIES, TENURES)
    assert placements.amended(SOURCE.bytes, {"version": 1}) == {"version": 1}
    placements.replace([HOME], directory)
    wanted = {"number": 9, "keys": [key_text(KEYS[1]), key_text(KEYS[0])]}
    assert placements.amended(SOURCE.bytes, {"version": 1}) == {"version": 1, "upstreams": wanted}


def test_a_proxy_that_comes_or_is_revoked_changes_the_orders() -> None:
    placements = Placements()
    placements.replace([HOME], draw_directory(SOURCES, PROXIES, TENURES))
    revoked = [replace(key, revoked_at=NOW) if key.key == KEYS[1] else key for key in PROXIES]
    placements.look(draw_directory(SOURCES, [*revoked, proxy(b"n" * 32, 1)], TENURES))
    keys = placements.amended(SOURCE.bytes, {})["upstreams"]["keys"]
    assert set(keys) == {key_text(KEYS[0]), key_text(b"n" * 32)}


def test_a_source_that_was_deleted_is_forgotten() -> None:
    placements = Placements()
    placements.replace([HOME], draw_directory(SOURCES, PROXIES, TENURES))
    placements.forget_others([SOURCE.bytes])
    assert SOURCE.bytes in placements.by_source
    placements.forget_others([])
    assert placements.by_source == {}
    assert placements.amended(SOURCE.bytes, {}) == {}


def test_without_balancing_agents_are_told_that_their_own_order_holds() -> None:
    placements = Placements(is_balancing=False)
    placements.replace([HOME], draw_directory(SOURCES, PROXIES, TENURES))
    assert placements.amended(SOURCE.bytes, {}) == {"upstreams": {"number": 9, "keys": []}}
