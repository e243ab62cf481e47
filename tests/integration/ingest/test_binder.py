"""Binding triggers as items come: what one new item costs, and that none is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from psycopg.errors import UndefinedTable

from core.runtime.clock import SystemClock
from server.evaluation.binder import PORTION_HOSTS, Binder
from server.evaluation.watch import Watch
from server.inventory.effective import Inventory
from server.inventory.plan import StoredDefinition
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items

if TYPE_CHECKING:
    from server.inventory.vocabulary import Kind
    from server.store.database import Database
    from server.store.inventory import EnsuredItems
    from server.store.transaction import Writer

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def inventory(revision: int, hosts: dict[str, list[str]]) -> Inventory:
    """Define hosts with a template of their own each; what is listed are its expressions."""
    stored: list[tuple[Kind, str, dict[str, Any]]] = []
    for host, expressions in hosts.items():
        triggers = [{"name": text, "expression": text, "severity": "high"} for text in expressions]
        template = {"kind": "template", "name": f"of-{host}", "items": [{"item": "load"}], "triggers": triggers}
        stored.append(("template", f"of-{host}", template))
        stored.append(("host", host, {"kind": "host", "name": host, "templates": [f"of-{host}"]}))
    return Inventory.from_stored(
        revision,
        [
            StoredDefinition(
                kind=kind, name=name, body=body, revision=revision, via="file", changed_by="test", changed_at=LONG_AGO
            )
            for kind, name, body in stored
        ],
    )  # fmt: skip


@dataclass
class Ground:
    """A binder over a real store, items declared by hand."""

    writer: Writer
    watch: Watch
    binder: Binder

    async def declare(self, *items: tuple[str, str], type_: str = "number") -> EnsuredItems:
        """Let a source declare items, given as (host, key), and the binder hear of it."""
        ensured = await self.make(*items, type_=type_)
        self.binder.changed(ensured.changed)
        self.binder.declared(np.array(list(ensured.ids.values()), np.int32))
        return ensured

    async def make(self, *items: tuple[str, str], type_: str = "number") -> EnsuredItems:
        """Make items that nobody hears of, as an import does."""
        async with self.writer.transaction() as connection:
            hosts = await ensure_hosts(connection, {host for host, _ in items})
            declared = [ItemDeclaration(host_id=hosts[host], key=key, type=type_) for host, key in items]
            return await ensure_items(connection, declared)

    async def bind_all(self) -> list[list[str]]:
        """Bind until nothing is left; returns which hosts went together."""
        portions = []
        while not self.binder.is_done:
            hosts = await self.binder.bind()
            self.binder.done(hosts)
            portions.append(list(hosts))
        return portions

    def keys(self) -> dict[tuple[str, str], int]:
        """Return the key of each instance, by host and parameter."""
        instances = [self.watch.instance(key) for key in self.watch.evaluator.states()[0].tolist()]
        return {(each.wanted.identity.host, each.wanted.parameter): each.key for each in instances}


@pytest.fixture
def ground(writer: Writer) -> Ground:
    watch = Watch()
    return Ground(writer, watch, Binder(writer, watch, SystemClock()))


async def test_a_new_item_costs_the_binding_of_its_host_and_of_those_that_name_it_and_no_other(ground: Ground) -> None:
    hosts = {f"h{place:02}": ["last(load[*]) > 1"] for place in range(PORTION_HOSTS + 3)}
    ground.binder.see(inventory(1, {**hosts, "watcher": ['last(host("h05"), load[new]) > 1']}))
    await ground.declare(*((host, f"load[{place}]") for host in hosts for place in range(3)), ("watcher", "its.own"))
    portions = await ground.bind_all()
    assert [len(portion) for portion in portions] == [PORTION_HOSTS, 4], "in one go ingest would wait for all of them"
    before = ground.keys()
    assert len(before) == 3 * len(hosts)
    await ground.declare(*(("h05", f"load[{parameter}]") for parameter in (0, 1, 2, "new")))
    assert await ground.bind_all() == [["h05", "watcher"]]
    after = ground.keys()
    assert after.keys() - before.keys() == {("h05", "new"), ("watcher", "")}
    assert before.items() <= after.items()


async def test_a_dictionary_that_says_nothing_new_binds_nothing(ground: Ground) -> None:
    ground.binder.see(inventory(1, {"h": ["last(load[*]) > 1"]}))
    await ground.declare(("h", "load[0]"), ("h", "load[1]"))
    await ground.bind_all()
    assert not (await ground.declare(("h", "load[0]"), ("h", "load[1]"))).changed
    assert ground.binder.is_done


async def test_an_item_that_an_import_made_is_bound_when_a_source_declares_it(ground: Ground) -> None:
    ground.binder.see(inventory(1, {"h": ["last(load[*]) > 1"]}))
    await ground.declare(("h", "load[0]"))
    await ground.bind_all()
    await ground.make(("h", "load[1]"))
    assert not (await ground.declare(("h", "load[1]"))).changed
    await ground.bind_all()
    assert ground.keys().keys() == {("h", "0"), ("h", "1")}


async def test_an_item_that_becomes_text_is_watched_no_more(ground: Ground) -> None:
    ground.binder.see(inventory(1, {"h": ["last(load[*]) > 1"]}))
    await ground.declare(("h", "load[0]"), ("h", "load[1]"))
    await ground.bind_all()
    await ground.declare(("h", "load[1]"), type_="text")
    await ground.bind_all()
    assert ground.keys().keys() == {("h", "0")}


async def test_only_hosts_whose_triggers_are_others_are_bound_after_a_change(ground: Ground) -> None:
    defined = {"a": ["last(load[*]) > 1"], "b": ["last(load[*]) > 1"], "c": ["last(load[*]) > 1"]}
    ground.binder.see(inventory(1, defined))
    await ground.declare(*((host, "load[0]") for host in defined))
    await ground.bind_all()
    before = ground.keys()
    del defined["c"]
    ground.binder.see(inventory(2, {**defined, "b": ["last(load[*]) > 2"]}))
    assert not ground.binder.is_whole(but=["b"]), "the problems of c are not over before c was looked at"
    assert await ground.bind_all() == [["b", "c"]]
    after = ground.keys()
    assert after.keys() == {("a", "0"), ("b", "0")}
    assert after["a", "0"] == before["a", "0"]
    assert after["b", "0"] != before["b", "0"]


async def test_hosts_whose_binding_failed_are_bound_at_the_next_try(ground: Ground, database: Database) -> None:
    ground.binder.see(inventory(1, {"h": ["last(load[*]) > 1"]}))
    await ground.declare(("h", "load[0]"))
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE trigger RENAME TO trigger_away")
    with pytest.raises(UndefinedTable):
        await ground.binder.bind()
    assert not ground.binder.is_done
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE trigger_away RENAME TO trigger")
    assert await ground.bind_all() == [["h"]]
    assert ground.keys().keys() == {("h", "0")}
