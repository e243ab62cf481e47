"""What is said of a host that is to be polled, and is not said how."""

from __future__ import annotations

import pytest

from server.inventory.apply import check_documents, shipped_documents
from server.inventory.catalogue import shipped_catalogue
from server.inventory.polling import check_polling
from server.inventory.yaml import read_yaml

HOST = "kind: host\nname: a\ntemplates: [snmp-interfaces]\npolling: {{address: {address}, {access}}}\n"


def test_a_template_that_polls_needs_a_host_that_says_how_it_is_reached() -> None:
    documents, _ = read_yaml("kind: host\nname: a\ntemplates:\n  - linux-host\n  - snmp-interfaces\n", "a.yaml")
    checked = check_documents([*shipped_documents(), *documents])
    assert checked.faults == []
    (fault,) = check_polling(checked.bodies(), checked.documents, shipped_catalogue())
    assert (fault.file, fault.line, fault.path) == ("a.yaml", 5, "templates[1]")
    assert "snmp.interfaces" in fault.message
    assert "polling: {address:" in fault.remedy


def test_a_host_reached_by_another_protocol_only_is_told_so_too() -> None:
    ssh = 'ssh: {user: u, key_file: k, host_key: "SHA256:' + "A" * 43 + '"}'
    documents, _ = read_yaml(HOST.format(address="192.0.2.1", access=ssh), "a.yaml")
    checked = check_documents([*shipped_documents(), *documents])
    assert checked.faults == []
    assert "by snmp" in check_polling(checked.bodies(), checked.documents, shipped_catalogue())[0].message


@pytest.mark.parametrize(
    ("address", "access", "path"),
    [
        ("192.0.2.1", "snmp: {}", "polling.snmp"),
        ("192.0.2.1", "snmp: {community_file: ../../etc/passwd}", "polling.snmp.community_file"),
        ("192.0.2.1", "snmp: {version: 3, user: u, auth_file: a}", "polling.snmp"),
        ("192.0.2.1", "ssh: {user: u, key_file: k}", "polling.ssh"),
        ("192.0.2.1", "ssh: {user: u, key_file: k, host_key: md5}", "polling.ssh.host_key"),
        ("192.0.2.1", "proxy_group: default", "polling"),
        ('"a b"', "snmp: {community_file: c}", "polling.address"),
        ('"a;id"', "snmp: {community_file: c}", "polling.address"),
        ("192.0.2.1", "snmp: {community_file: c, port: 70000}", "polling.snmp.port"),
    ],
)
def test_an_access_that_cannot_work_is_a_fault_at_its_place(address: str, access: str, path: str) -> None:
    documents, _ = read_yaml(HOST.format(address=address, access=access), "a.yaml")
    (fault,) = check_documents(documents).faults
    assert fault.path == path
    assert fault.line == 4
