from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from server.inventory.apply import check_documents, shipped_documents
from server.inventory.check import check_references, documents_from_plain
from server.inventory.yaml import read_yaml

if TYPE_CHECKING:
    from server.inventory.check import Checked


FILESYSTEMS = "[{probe: filesystems, every: 10s, parameters: %s}]"


def check_text(text: str) -> Checked:
    documents, faults = read_yaml(text, "a.yaml")
    assert not faults
    return check_documents(documents)


def one_template(items: str = "[{probe: cpu, every: 10s}]", expression: str = "last(cpu.busy) > 90") -> str:
    return (
        f"kind: template\nname: t\nitems: {items}\ntriggers:\n"
        f"  - {{name: A, severity: high,\n     expression: {expression!r}}}\n"
    )


def test_the_shipped_templates_have_no_fault() -> None:
    checked = check_documents(shipped_documents())
    assert checked.faults == []
    shipped = {"linux-host", "web-site", "network-services", "systemd", "nagios-plugins"}
    assert shipped <= {name for kind, name in checked.definitions if kind == "template"}


def test_a_fault_of_form_hides_no_other_fault_and_invents_none() -> None:
    checked = check_text(
        """\
kind: template
name: linux
items:
  - {probe: cpuu, every: 10s}
  - {prob: memory, every: 10s}
  - loose words
  - {item: shop.orders, unit: 7}
triggers:
  - {name: A, expression: last(memory.available) < 1, severity: high}
  - {name: B, expression: last(cpu.busy) > 1 +, severity: urgent}
  - {name: A, expression: 7, severity: high}
"""
    )
    assert {fault.path for fault in checked.faults} == {
        "items[0].probe", "items[1].prob", "items[2]", "items[3].unit", "triggers[1].expression",
        "triggers[1].severity", "triggers[2].expression",
    }  # fmt: skip


def test_all_faults_of_all_documents_come_at_once_each_with_line_path_and_remedy() -> None:
    checked = check_text(
        """\
kind: template
name: linux
items:
  - prob: cpu
    every: 10s
  - probe: memory
    every: 10x
triggers:
  - name: Busy
    expression: last(cpu.busy) >
    severity: warnin
---
kind: hst
name: x
---
kind: receiver
name: on-call
webhok: {url: "https://a.example/x"}
---
kind: host
name: "a b"
tags: {rack: 4}
"""
    )
    found = {(fault.line, fault.path) for fault in checked.faults}
    assert found == {
        (4, "items[0].prob"),
        (7, "items[1].every"),
        (10, "triggers[0].expression"),
        (11, "triggers[0].severity"),
        (13, "kind"),
        (18, "webhok"),
        (21, "name"),
        (22, "tags.rack"),
    }
    remedies = {fault.path: fault.remedy for fault in checked.faults}
    assert remedies["items[0].prob"] == "Did you mean 'probe'?"
    assert remedies["triggers[0].severity"] == "Did you mean 'warning'?"
    assert remedies["kind"] == "Did you mean 'host'?"
    assert remedies["webhok"] == "Did you mean 'webhook'?"
    assert all(fault.file == "a.yaml" and fault.remedy and fault.column for fault in checked.faults)


def test_a_wrong_expression_is_placed_at_its_column_in_the_file() -> None:
    text = "kind: template\nname: t\nitems: [{probe: cpu, every: 10s}]\ntriggers:\n"
    text += "  - name: Busy\n    severity: high\n    expression: last(cpu.busy) > > 90\n"
    fault = check_text(text).faults[0]
    assert (fault.line, fault.path) == (7, "triggers[0].expression")
    assert text.splitlines()[6][fault.column - 1 :].startswith("> 90")


@pytest.mark.parametrize(
    ("items", "expression", "message", "remedy"),
    [
        ("[{probe: cpu, every: 10s}]", "last(cpu.bsuy) > 90", "gives 'cpu.bsuy'", "'cpu.busy'"),
        ("[{probe: cpu, every: 10s}]", "last(memory.used_percent) > 90", "gives 'memory", "probe: memory"),
        ("[{probe: filesystems, every: 10s}]", "last(filesystem.free) < 9", "needs a parameter", "filesystem.free[*]"),
        ("[{probe: cpu, every: 10s}]", "last(cpu.busy[*]) > 9", "has no parameter", "`cpu.busy`"),
        ("[]", "last(shop.orders) > 9", "gives 'shop.orders'", "- item: shop.orders"),
        ("[{probe: cpuu, every: 10s}]", "last(cpu.busy) > 9", "no probe 'cpuu'", "'cpu'"),
        ("[{probe: cpu, every: 10s, parameters: {a: 1}}]", "last(cpu.busy) > 9", "no parameter 'a'", "Remove"),
        (FILESYSTEMS % "{mount: [/]}", "last(filesystem.free[/]) > 9", "'mount'", "'mounts'"),
        (FILESYSTEMS % "{mounts: 3}", "last(filesystem.free[/]) > 9", "expected", "filesystems"),
        ("[{probe: cpu, every: 10s}, {probe: cpu, every: 1m}]", "last(cpu.busy) > 9", "twice", "Remove"),
        ("[{probe: cpu, every: 10ms}]", "last(cpu.busy) > 9", "from 1s to 1d", ""),
    ],
)  # fmt: skip
def test_what_a_template_says_is_checked_against_the_probes(
    items: str, expression: str, message: str, remedy: str
) -> None:
    faults = check_text(one_template(items, expression)).faults
    assert len(faults) == 1, faults
    assert message in faults[0].message
    assert remedy in faults[0].remedy


@pytest.mark.parametrize(
    ("items", "expression"),
    [
        ("[{item: shop.orders}]", "last(shop.orders) > 9"),
        ("[{item: shop.orders}]", "last(shop.orders[*]) > 9"),
        ("[]", "nodata(agent.memory, 1m)"),
        ("[{probe: filesystems, every: 10s, parameters: {mounts: [/]}}]", "last(filesystem.free[/]) > 9"),
    ],
)
def test_what_is_declared_or_always_there_may_be_used(items: str, expression: str) -> None:
    assert check_text(one_template(items, expression)).faults == []


def test_a_name_with_a_parameter_needs_an_expression_that_finds_one() -> None:
    text = one_template().replace("name: A", 'name: "A {parameter}"')
    assert "[*]" in check_text(text).faults[0].message
    text = one_template().replace("name: A", 'name: "A {__class__}"')
    assert "placeholders" in check_text(text).faults[0].message


def test_two_definitions_of_one_name_are_a_fault_naming_the_first() -> None:
    checked = check_text("kind: host\nname: a\n---\nkind: host\nname: a\n---\nkind: receiver\nname: a\n"
                         "webhook: {url: 'https://a.example'}\n")  # fmt: skip
    assert [(fault.line, fault.path) for fault in checked.faults] == [(5, "name")]
    assert "line 1" in checked.faults[0].remedy


def test_a_host_must_name_templates_that_will_exist() -> None:
    checked = check_text(
        "kind: host\nname: a\ntemplates:\n  - linux\n  - linux-hots\n---\nkind: template\nname: linux-host\n"
    )
    faults = check_references(checked.bodies(), checked.documents)
    assert [(fault.line, fault.path) for fault in faults] == [(4, "templates[0]"), (5, "templates[1]")]
    assert faults[1].remedy == "Did you mean 'linux-host'?"


def test_a_template_with_faults_of_its_own_still_counts_as_there() -> None:
    checked = check_text("kind: host\nname: a\ntemplates: [t]\n---\nkind: template\nname: t\ncolour: red\n")
    assert len(checked.faults) == 1
    assert check_references(checked.bodies(), checked.documents, checked.unfit) == []


def test_a_stored_host_that_loses_its_template_is_named() -> None:
    stored = {("host", "db1"): {"kind": "host", "name": "db1", "templates": ["gone"]}}
    faults = check_references(stored, {})  # type: ignore[arg-type]  # literal keys
    assert "db1" in faults[0].message
    assert faults[0].line == 0


@pytest.mark.trial("S-4")
@pytest.mark.parametrize("name", ["a\nb", "a b", "", "-a", "a/b", "a;id", "$(id)", "a\x00", "ä", "a" * 129, "a\n"])
def test_names_are_matched_whole(name: str) -> None:
    checked = check_documents(documents_from_plain([{"kind": "host", "name": name}]))
    assert [fault.path for fault in checked.faults] == ["name"]


@pytest.mark.trial("S-4")
@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\u202eb", "a\x00"])
def test_trigger_names_are_one_printable_line(name: str) -> None:
    document = {
        "kind": "template", "name": "t", "items": [{"probe": "cpu", "every": "1m"}],
        "triggers": [{"name": name, "severity": "high", "expression": "last(cpu.busy) > 1"}],
    }  # fmt: skip
    assert [f.path for f in check_documents(documents_from_plain([document])).faults] == ["triggers[0].name"]


@pytest.mark.parametrize(
    "data", [None, 3, "text", [], {}, {"kind": []}, {"kind": "host"}, {"kind": "host", "name": {}}]
)
def test_plain_values_of_any_shape_become_faults_never_exceptions(data: Any) -> None:
    checked = check_documents(documents_from_plain([data]))
    assert checked.faults
    assert checked.definitions == {}


def test_a_receiver_needs_a_medium_and_one_url() -> None:
    assert "medium" in check_text("kind: receiver\nname: a\n").faults[0].message
    two = "kind: receiver\nname: a\nwebhook: {url: 'https://a.example', url_file: a}\n"
    assert "either" in check_text(two).faults[0].message
    none = "kind: receiver\nname: a\nwebhook: {allow_private: 1}\n"
    assert check_text(none).faults[0].path == "webhook.allow_private"


def test_a_wrong_parameter_of_a_probe_is_named_with_its_line_and_what_belongs_there() -> None:
    checked = check_text(
        """\
kind: template
name: t
items:
  - probe: http.get
    every: 1m
    parameters:
      url: shop.example.org
      body: "(unclosed"
  - probe: command
    every: 1m
    parameters: {name: x}
  - probe: disks
    every: 10s
    parameters:
      excluded: [sda]
"""
    )
    found = {(fault.line, fault.path): fault.message for fault in checked.faults}
    assert found[7, "items[0].parameters.url"].startswith("expected http:// or https://")
    assert found[8, "items[0].parameters.body"].startswith("expected a regular expression, found '(unclosed'")
    assert found[11, "items[1].parameters.command"].startswith("is missing; expected an array")
    assert (15, "items[2].parameters.excluded") in found
    assert len(found) == 4
