from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from server.inventory.effective import Inventory, StoredDefinitionBroken
from server.inventory.model import MODELS, TriggerDefinition
from server.inventory.plan import StoredDefinition


def stored(revision: int, **body: Any) -> StoredDefinition:
    return StoredDefinition(
        kind=body["kind"], name=body["name"], body=body, revision=revision, via="file", changed_by="ann",
        changed_at=datetime(2026, 11, 21, tzinfo=UTC),
    )  # fmt: skip


TRIGGER = {"name": "Busy on {host}", "expression": "last(cpu.busy) > 90", "severity": "high"}
BASE = stored(
    3,
    kind="template",
    name="base",
    items=[{"probe": "cpu", "every": "1m"}, {"probe": "filesystems", "every": "1m", "parameters": {"mounts": ["/"]}}],
    triggers=[TRIGGER],
)
FAST = stored(
    5,
    kind="template",
    name="fast",
    items=[{"probe": "cpu", "every": "5s"}, {"probe": "filesystems", "every": "2m"}, {"item": "shop.orders"}],
)
OTHER = stored(9, kind="template", name="other", items=[{"probe": "memory", "every": "1m"}])


def test_what_two_templates_ask_for_is_sampled_once_at_the_shorter_interval() -> None:
    inventory = Inventory.from_stored(
        9, [BASE, FAST, OTHER, stored(4, kind="host", name="db1", templates=["base", "fast"])]
    )
    assert inventory.document("db1") == {
        "version": 5,
        "probes": [
            {"probe": "cpu", "interval_seconds": 5.0, "parameters": {}},
            {"probe": "filesystems", "interval_seconds": 60.0, "parameters": {"mounts": ["/"]}},
            {"probe": "filesystems", "interval_seconds": 120.0, "parameters": {}},
        ],
    }


def test_a_host_is_told_the_limits_it_is_under_where_its_claims_are_heard() -> None:
    saved = stored(6, kind="template", name="saved", items=[{"probe": "backup", "every": "12h"}])
    limits = [
        stored(7, kind="limit", name="all", at_once=4),
        stored(8, kind="limit", name="web", at_once=1, groups=["web"], targets=["swift"], wait_at_most="2h"),
    ]
    hosts = [stored(4, kind="host", name=name, templates=["saved"], groups=[name[:3]]) for name in ("db1", "web1")]
    unheard = stored(4, kind="host", name="web2", templates=["other"], groups=["web"])
    inventory = Inventory.from_stored(9, [saved, OTHER, *limits, *hosts, unheard])
    told = {"name": "all", "targets": [], "wait_at_most_seconds": 21_600.0}
    assert inventory.document("db1") == {
        "version": 6,
        "probes": [{"probe": "backup", "interval_seconds": 600.0, "parameters": {}}],
        "backup_limits": [told],
    }
    web = inventory.document("web1")
    assert web is not None
    assert web["backup_limits"] == [told, {"name": "web", "targets": ["swift"], "wait_at_most_seconds": 7200.0}]
    assert "backup_limits" not in (inventory.document("web2") or {})


def test_a_host_without_templates_samples_nothing_and_an_undefined_one_has_no_document() -> None:
    inventory = Inventory.from_stored(2, [stored(2, kind="host", name="db1")])
    assert inventory.document("db1") == {"version": 2, "probes": []}
    assert inventory.document("db2") is None
    assert inventory.triggers("db2") == []


def test_the_triggers_of_a_host_are_those_of_its_templates() -> None:
    inventory = Inventory.from_stored(9, [BASE, FAST, stored(4, kind="host", name="db1", templates=["fast", "base"])])
    found = inventory.triggers("db1")
    assert [(t.template, t.name, t.severity, t.expression) for t in found] == [
        ("base", "Busy on {host}", "high", "last(cpu.busy) > 90")
    ]


@pytest.mark.trial("S-5")
def test_a_parameter_that_looks_like_a_placeholder_stays_as_it_is() -> None:
    trigger = TriggerDefinition(name="{parameter} on {host}", expression="last(a[*]) > 1", severity="high")
    assert trigger.title("db1", "{host}") == "{host} on db1"


def test_a_stored_definition_this_version_does_not_understand_is_named() -> None:
    with pytest.raises(StoredDefinitionBroken, match="host 'db1'"):
        Inventory.from_stored(1, [stored(1, kind="host", name="db1", colour="red")])


def test_equal_meaning_has_an_equal_body() -> None:
    one = MODELS["template"].model_validate(
        {"kind": "template", "name": "a", "items": [{"probe": "cpu", "every": "60s"}]}
    )
    other = MODELS["template"].model_validate(
        {
            "kind": "template",
            "name": "a",
            "description": "",
            "items": [{"probe": "cpu", "every": "1m", "parameters": {}}],
        }
    )
    assert one.body() == other.body()
    first = {"kind": "receiver", "name": "a", "webhook": {"url": "https://a.example"}}
    every = ["disaster", "high", "information", "warning", "average"]
    receiver = MODELS["receiver"]
    assert receiver.model_validate(first).body() == receiver.model_validate(first | {"severities": every}).body()


def test_a_body_read_again_is_the_same_definition() -> None:
    for each in (BASE, FAST, OTHER):
        definition = MODELS[each.kind].model_validate(each.body)
        assert MODELS[each.kind].model_validate(definition.body()) == definition
