"""Which proxy polls which host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.runtime.clock import ManualClock
from core.security.authority import Peer
from core.security.poller import polled_host, poller_source
from server.distribution.polling import JOIN_SECONDS, LEAVE_SECONDS, choose_poller, next_electorate, share_hosts
from server.intake.directory import draw_directory
from server.intake.ledger import Ledger
from server.intake.presence import PresenceBook, Upstream
from server.inventory.effective import Inventory
from server.inventory.model import HostDefinition, SampledItems, Template
from server.picture import Picture
from server.store.database import Database, DatabaseOptions
from server.store.peers import Assignment, PeerKey, Source
from tests.unit.server.intake.arrivals import MOVED_AT
from tests.unit.server.intake.test_presence import GRACE, heartbeat, hello

if TYPE_CHECKING:
    from server.intake.directory import Directory

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32
HOSTS = [f"host{number}" for number in range(300)]


def polled(name: str, group: str = "default") -> HostDefinition:
    return HostDefinition.model_validate(
        {
            "kind": "host",
            "name": name,
            "templates": ["t"],
            "polling": {"address": "192.0.2.1", "proxy_group": group, "snmp": {"community_file": "c"}},
        }
    )


def inventory(*hosts: HostDefinition) -> Inventory:
    items = [{"probe": "snmp.interfaces", "every": "1m"}, {"probe": "cpu", "every": "10s"}]
    template = Template.model_validate({"kind": "template", "name": "t", "items": items})
    revisions = {("template", "t"): 3, **{("host", host.name): 4 for host in hosts}}
    return Inventory(
        revision=4, templates={"t": template}, hosts={host.name: host for host in hosts}, receivers={},
        revisions=revisions,
    )  # fmt: skip


def way(key: bytes, *, since: float, heard: float) -> Upstream:
    return Upstream(peer=Peer(key=key, role="proxy", name="p"), software="x", since_seconds=since, heard_seconds=heard)


def directory(groups: dict[str, int]) -> Directory:
    keys = [
        PeerKey(key=key, role="proxy", name="p", source_id=None, source_uuid=None, group_id=group, revoked_at=None)
        for key, group in ((A, 1), (B, 1), (C, 2))
    ]
    sources = [
        Source(id=1, uuid=poller_source(A), name="p", host_id=None),
        Source(id=9, uuid=poller_source(C), name="agent1", host_id=5),
    ]
    tenures = [Assignment(source_id=1, group_id=1, assigned_at=MOVED_AT, released_at=None)]
    return draw_directory(sources, keys, tenures, groups)


def test_a_proxy_that_goes_or_comes_moves_no_host_but_its_own() -> None:
    with_all = {host: choose_poller(host, [A, B, C]) for host in HOSTS}
    without_c = {host: choose_poller(host, [B, A]) for host in HOSTS}
    assert all(without_c[host] == key for host, key in with_all.items() if key != C)
    assert all(list(with_all.values()).count(key) > 60 for key in (A, B, C))
    assert choose_poller("h", []) is None


def test_a_proxy_started_anew_keeps_its_hosts_and_a_dead_one_loses_them() -> None:
    groups = {A: 1, B: 1}
    both = frozenset([A, B])
    links = {A: way(A, since=0, heard=100)}
    assert next_electorate(both, groups, {A: 100, B: 100 - LEAVE_SECONDS + 1}, links, 100) == both
    assert next_electorate(both, groups, {A: 100, B: 100 - LEAVE_SECONDS - 1}, links, 100) == {A}
    assert next_electorate(both, {A: 1}, {A: 100, B: 100}, links, 100) == {A}, "a revoked one goes at once"


def test_a_proxy_that_comes_and_goes_takes_part_only_when_it_has_stood_for_a_while() -> None:
    groups, heard = {A: 1, B: 1}, {A: 100.0, B: 100.0}
    young = {A: way(A, since=0, heard=100), B: way(B, since=100 - JOIN_SECONDS + 1, heard=100)}
    assert next_electorate(frozenset([A]), groups, heard, young, 100) == {A}
    old = {**young, B: way(B, since=100 - JOIN_SECONDS, heard=100)}
    assert next_electorate(frozenset([A]), groups, heard, old, 100) == {A, B}
    assert next_electorate(frozenset(), groups, heard, {B: young[B]}, 100) == {B}, "rather a young one than none"


def test_a_host_goes_to_its_own_group_only() -> None:
    shares = share_hosts(inventory(polled("h1"), polled("h2", "other"), polled("h3", "nowhere")),
                         directory({"default": 1, "other": 2}), [A, B, C])  # fmt: skip
    assert sorted(host for key in (A, B) for host in shares.get(key, [])) == ["h1"]
    assert shares[C] == ["h2"]


def test_the_agent_is_told_its_probes_and_the_poller_its_own() -> None:
    known = inventory(polled("h1"))
    agents, pollers = known.document("h1"), known.polling_document("h1")
    assert agents is not None
    assert pollers is not None
    assert [probe["probe"] for probe in agents["probes"]] == ["cpu"]
    assert [probe["probe"] for probe in pollers["probes"]] == ["snmp.interfaces"]
    assert pollers["poll"] == {"host": "h1", "address": "192.0.2.1", "snmp": {"community_file": "c"}}
    assert isinstance(known.templates["t"].items[0], SampledItems)
    assert len(polled_host("h1")) == 16


async def test_a_poller_speaks_of_its_groups_polled_hosts_and_an_agent_of_its_own() -> None:
    picture = Picture(Database(DatabaseOptions(dsn="", server="x")), ManualClock())
    picture.inventory = inventory(
        polled("h1"), polled("h2", "other"), HostDefinition.model_validate({"kind": "host", "name": "agent1"})
    )
    picture.directory = directory({"default": 1, "other": 2})
    poller, agent = picture.directory.sources.values()
    assert [picture.may_name(poller, host) for host in ("h1", "h2", "agent1", "new")] == [True, False, False, False]
    assert [picture.may_name(agent, host) for host in ("h1", "agent1")] == [False, True]


async def test_a_polled_items_silence_is_its_own_only_while_its_own_proxy_is_heard() -> None:
    # The group has another living proxy: it says nothing about what the dead one polled.
    clock = ManualClock()
    book = PresenceBook(clock, GRACE)
    book.learn_sources(np.array([7], np.int32), 1)
    others = Peer(key=B, role="proxy", name="b")
    own = Peer(key=A, role="proxy", name="a")
    known = directory({"default": 1})

    def is_judged() -> bool:
        return bool(book.judge(known, Ledger())(np.array([7], np.int32))[0])

    async def pass_time(*peers: Peer) -> None:
        for _ in range(10):
            await clock.advance(GRACE / 6)
            for peer in peers:
                book.heard(peer, heartbeat(clock))

    for peer in (own, others):
        book.heard(peer, hello())
    await pass_time(own, others)
    assert is_judged()
    await pass_time(others)
    assert not is_judged()
    book.heard(own, heartbeat(clock))
    assert not is_judged(), "it has just come back"
    await pass_time(own)
    assert is_judged()
