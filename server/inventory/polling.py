"""Checks that what a proxy is to poll can be asked: a host whose templates name such probes says how it is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.inventory.shape import fault
from server.inventory.yaml import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.inventory.catalogue import Catalogue
    from server.inventory.fault import Fault
    from server.inventory.model import Key

_EXAMPLES = {
    "snmp": "polling: {address: 192.0.2.1, snmp: {community_file: NAME}}",
    "ssh": 'polling: {address: 192.0.2.1, ssh: {user: NAME, key_file: NAME, host_key: "SHA256:…"}}',
}


def check_polling(
    resulting: Mapping[Key, Mapping[str, Any]], documents: Mapping[Key, Document], catalogue: Catalogue
) -> list[Fault]:
    """Return a fault for each host and protocol that its templates need and its definition does not give."""
    faults: list[Fault] = []
    needed = {name: _protocols(body, catalogue) for (kind, name), body in resulting.items() if kind == "template"}
    for key, body in resulting.items():
        if key[0] != "host":
            continue
        polling = body.get("polling") or {}
        told: set[str] = set()
        for place, template in enumerate(body.get("templates", ())):
            for protocol, probe in needed.get(template, {}).items():
                if polling.get(protocol) is not None or protocol in told:
                    continue
                told.add(protocol)
                document = documents.get(key) or Document(file=f"(stored) host {key[1]}", data=body)
                message = (
                    f"the template {template!r} has the probe {probe!r}, by which a proxy polls over {protocol},"
                    f" and the host does not say how it is reached by {protocol}"
                )
                remedy = f"Give the host `{_EXAMPLES.get(protocol, 'polling')}`, or take the template away."
                faults.append(fault(document, ("templates", place), message, remedy))
    return faults


def _protocols(template: Mapping[str, Any], catalogue: Catalogue) -> dict[str, str]:
    """Return the protocols a template's probes poll by, each with the first probe that does."""
    found: dict[str, str] = {}
    for item in template.get("items", ()):
        known = catalogue.probes.get(item.get("probe", ""))
        if known is not None and known.polls:
            found.setdefault(known.polls, item["probe"])
    return found
