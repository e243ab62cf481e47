"""Binding some hosts anew: what stays keeps its key, and so its windows; what others have is left alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from server.evaluation.bindings import WantedColumns, WatchedTrigger
from server.evaluation.watch import Watch
from server.inventory.model import TriggerDefinition
from triggers.compile import compile_expression
from triggers.evaluation import Columns

EXPRESSIONS = ["last(load[*]) > 90", "max(load[*], 5m) > 90"]
HOSTS = {"a": 1, "b": 2, "c": 3}
IDS = {("t", "busy"): 1, ("t", "idle"): 2}


def wanted(host: str, name: str, expression: str, items: dict[str, int]) -> WantedColumns:
    definition = TriggerDefinition(name=name, expression=expression, severity="high")
    trigger = WatchedTrigger(
        host=host, template="t", definition=definition, compiled=compile_expression(expression)
    )  # fmt: skip
    ids = np.array(list(items.values()), np.int32).reshape(-1, 1)
    return WantedColumns(trigger=trigger, parameters=list(items), items=ids, units=["%"] * len(items))


def all_of(watch: Watch) -> dict[Any, tuple[int, str, tuple[int, ...]]]:
    """By identity: the key, the expression and the items of every instance the evaluator has."""
    found = {}
    for key in watch.evaluator.states()[0].tolist():
        each = watch.instance(key).wanted
        found[each.identity] = (key, each.trigger.definition.expression, each.items)
    assert len(found) == len(watch)
    return found


def test_however_hosts_are_bound_anew_instances_are_those_wanted_and_what_means_the_same_keeps_its_key() -> None:
    chance = random.Random(4)
    watch = Watch()
    expected: dict[Any, tuple[str, tuple[int, ...]]] = {}
    for round_ in range(60):
        hosts = chance.sample(list(HOSTS), chance.randint(1, 3))
        goal = [
            wanted(
                host,
                name,
                chance.choice(EXPRESSIONS),
                {str(place): chance.randint(1, 4) for place in chance.sample(range(6), chance.randint(0, 5))},
            )
            for host in hosts
            for _, name in IDS
            if chance.random() < 0.8
        ]
        before = all_of(watch)
        watch.rebind(hosts, goal, IDS, HOSTS, now_us=round_)
        expected = {identity: means for identity, means in expected.items() if identity.host not in hosts}
        for columns in goal:
            for place in range(len(columns.parameters)):
                one = columns.at(place)
                expected[one.identity] = (one.trigger.definition.expression, one.items)
        after = all_of(watch)
        assert {identity: means for identity, (_, *means) in after.items()} == {
            identity: list(means) for identity, means in expected.items()
        }
        assert all(
            after[identity][0] == key
            for identity, (key, *means) in before.items()
            if identity in after and list(after[identity][1:]) == means
        )


def test_an_event_names_the_instance_whose_item_it_is_after_its_neighbours_went() -> None:
    watch = Watch()
    watch.rebind(["a"], [wanted("a", "busy", EXPRESSIONS[0], {"x": 1, "y": 2, "z": 3})], IDS, HOSTS, now_us=0)
    watch.rebind(["a"], [wanted("a", "busy", EXPRESSIONS[0], {"w": 4, "z": 3, "y": 5})], IDS, HOSTS, now_us=0)
    items = np.array([1, 2, 3, 4, 5], np.int32)
    staged = watch.evaluator.evaluate(
        Columns(items=items, instants=np.full(5, 1_000_000), values=np.full(5, 99.0)), 1_000_000
    )
    (turn,) = watch.turns(staged.events)
    staged.commit()
    assert sorted((opening.parameter, opening.items) for _, opening in turn.openings) == [
        ("w", (4,)), ("y", (5,)), ("z", (3,)),
    ]  # fmt: skip
