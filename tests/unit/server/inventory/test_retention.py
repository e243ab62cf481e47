from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from server.inventory.catalogue import shipped_catalogue
from server.inventory.check import check, documents_from_plain
from server.inventory.effective import Inventory
from server.inventory.keep import Keep, Retention
from server.inventory.key_pattern import fits
from server.inventory.model import HostDefinition, Template
from server.inventory.retention import RetentionRule

DAY = timedelta(days=1)
DEFAULT = Keep(history=31 * DAY, trends=732 * DAY)


@pytest.mark.parametrize(
    ("pattern", "key", "is_fit"),
    [
        ("*", "cpu.busy", True),
        ("cpu.*", "cpu.busy", True),
        ("cpu.*", "xcpu.busy", False),
        ("filesystem.*[/srv*]", "filesystem.used[/srv/a]", True),
        ("filesystem.*[/srv*]", "filesystem.used[/]", False),
        ("cpu.bus?", "cpu.busy", True),
        ("cpu?busy", "cpu.busy", True),
        ("cpu.busy", "cpu_busy", False),
        ("log[*]", "log[a\nb]", True),
    ],
)
def test_a_pattern_fits_whole_keys(pattern: str, key: str, is_fit: bool) -> None:
    assert fits(pattern, key) is is_fit


def test_of_each_term_the_first_rule_that_fits_and_says_it_holds_the_hosts_own_before_its_templates() -> None:
    template = Template.model_validate(
        {
            "kind": "template",
            "name": "t",
            "retention": [{"items": "cpu.*", "history": "7d", "trends": "5y"}, {"samples": 10_000, "history": "90d"}],
        }
    )
    host = HostDefinition.model_validate(
        {"kind": "host", "name": "db1", "templates": ["t"], "retention": [{"items": "cpu.busy", "history": "1y"}]}
    )
    inventory = Inventory(revision=1, templates={"t": template}, hosts={"db1": host}, receivers={}, revisions={})
    retention = Retention(default=DEFAULT, inventory=lambda: inventory)
    keys = ["cpu.busy", "cpu.user", "load.1m"]
    items = [(number, "db1", key) for number, key in enumerate(keys)]
    kept = retention.differing([*items, (9, "undefined", "cpu.busy")])
    assert kept == {
        0: Keep(history=365 * DAY, trends=1825 * DAY, samples=10_000),
        1: Keep(history=7 * DAY, trends=1825 * DAY, samples=10_000),
        2: Keep(history=90 * DAY, trends=732 * DAY, samples=10_000),
        9: DEFAULT,
    }
    assert retention.longest() == Keep(history=365 * DAY, trends=1825 * DAY)


def test_nothing_differs_while_no_rule_is_there() -> None:
    inventory = Inventory(revision=1, templates={}, hosts={}, receivers={}, revisions={})
    retention = Retention(default=DEFAULT, inventory=lambda: inventory)
    assert retention.differing([(1, "db1", "cpu.busy")]) == {}
    assert retention.longest() == DEFAULT


def test_a_rule_is_written_back_in_its_largest_whole_unit() -> None:
    rule = RetentionRule.model_validate({"items": "cpu.*", "history": "4w", "trends": "5y"})
    assert rule.model_dump(mode="json", exclude_none=True) == {"items": "cpu.*", "history": "28d", "trends": "1825d"}


@pytest.mark.parametrize(
    ("rule", "place", "said"),
    [
        ({"history": "5 minutes"}, "retention[0].history", "12h"),
        ({"history": "5m"}, "retention[0].history", "1h to 50y"),
        ({"trends": "99999999y"}, "retention[0].trends", "90d"),
        ({"items": "cpu.*"}, "retention[0]", "at least one of"),
        ({"items": "*a*b*c*d*e*f*g*h*i", "history": "1d"}, "retention[0].items", "at most 8 stars"),
        ({"samples": 0}, "retention[0].samples", "greater than or equal to 1"),
        ({"histroy": "1d"}, "retention[0].histroy", "no key"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_its_place(rule: dict[str, Any], place: str, said: str) -> None:
    documents = documents_from_plain([{"kind": "template", "name": "t", "retention": [rule]}])
    faults = check(documents, shipped_catalogue()).faults
    assert any(fault.path == place and said in fault.message + fault.remedy for fault in faults), faults
