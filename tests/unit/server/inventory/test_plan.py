from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from server.inventory.difference import ABSENT, differences
from server.inventory.plan import StoredDefinition, plan, resulting

if TYPE_CHECKING:
    from server.inventory.plan import Via

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)


def stored(name: str, *, via: Via = "file", **body: Any) -> StoredDefinition:
    return StoredDefinition(
        kind="host", name=name, body={"kind": "host", "name": name} | body, revision=1, via=via, changed_by="ann",
        changed_at=AT,
    )  # fmt: skip


def by_key(*definitions: StoredDefinition) -> Any:
    return {definition.key: definition for definition in definitions}


def pruning(there: Any, wanted: Any) -> Any:
    return plan(there, wanted, via="file", prunable=list(there))


def test_what_holds_already_is_no_change() -> None:
    assert pruning(by_key(stored("a")), {("host", "a"): stored("a").body}) == []


def test_changes_carry_before_and_after() -> None:
    found = plan(by_key(stored("a")), {("host", "a"): stored("a", tags={"x": "y"}).body}, via="file")
    assert [(c.action, c.before, c.after) for c in found] == [
        ("update", stored("a").body, stored("a", tags={"x": "y"}).body)
    ]


def test_what_is_not_wanted_stays_unless_pruned() -> None:
    assert plan(by_key(stored("a")), {}, via="file") == []
    assert [c.action for c in pruning(by_key(stored("a")), {})] == ["delete"]


def test_only_what_files_brought_is_pruned() -> None:
    ways: tuple[Via, ...] = ("web", "shipped", "enrolment")
    there = by_key(*(stored(way, via=way) for way in ways))
    assert pruning(there, {}) == []


def test_what_files_only_changed_is_not_pruned() -> None:
    assert plan(by_key(stored("a")), {}, via="file", prunable=[("host", "b")]) == []


def test_a_file_over_a_change_of_the_page_says_whose() -> None:
    wanted: Any = {("host", "a"): stored("a", tags={"x": "y"}).body}
    assert "ann on 2026-11-21 10:00" in plan(by_key(stored("a", via="web")), wanted, via="file")[0].overwrites
    assert plan(by_key(stored("a", via="web")), wanted, via="web")[0].overwrites == ""
    assert plan(by_key(stored("a", via="enrolment")), wanted, via="file")[0].overwrites == ""


def test_templates_come_before_hosts_and_go_after_them() -> None:
    wanted: Any = {("host", "b"): {}, ("template", "c"): {}, ("receiver", "a"): {}}
    made = plan({}, wanted, via="file")
    assert [change.kind for change in made] == ["template", "receiver", "host"]
    template = StoredDefinition(
        kind="template", name="t", body={}, revision=1, via="file", changed_by="ann", changed_at=AT
    )
    gone = pruning(by_key(stored("a"), template), {})
    assert [change.kind for change in gone] == ["host", "template"]


def test_the_result_is_what_is_stored_with_the_changes_made() -> None:
    there = by_key(stored("a"), stored("b"))
    changes = pruning(there, {("host", "c"): stored("c").body})
    assert list(resulting(there, changes)) == [("host", "c")]


def test_differences_name_the_places_and_match_triggers_by_name() -> None:
    before = {"triggers": [{"name": "A", "severity": "high"}, {"name": "B", "severity": "high"}], "description": "x"}
    after = {"triggers": [{"name": "C", "severity": "high"}, {"name": "B", "severity": "average"}]}
    found = {d.path: (d.before, d.after) for d in differences(before, after)}
    assert found == {
        "triggers.'A'": ({"name": "A", "severity": "high"}, ABSENT),
        "triggers.'B'.severity": ("high", "average"),
        "triggers.'C'": (ABSENT, {"name": "C", "severity": "high"}),
        "description": ("x", ABSENT),
    }


def test_another_order_of_a_list_is_a_difference() -> None:
    assert len(differences({"a": [{"name": "x"}, {"name": "y"}]}, {"a": [{"name": "y"}, {"name": "x"}]})) == 1
    assert len(differences({"a": [1, 2]}, {"a": [2, 1]})) == 1
    assert differences({"a": [1, 2]}, {"a": [1, 2]}) == []
