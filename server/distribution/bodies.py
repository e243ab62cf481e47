"""What each link is to know, and what of it is new to the link; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from server.intake.directory import Directory
    from server.inventory.effective import Inventory

ROWS_A_MESSAGE: Final = 500
"""Peers and documents in one message, so that it stays well below the wire's limit."""

PeerRow = tuple[bytes, str, str, bytes, bool]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a proxy is to know: who may speak to it, and the documents of the sources it may carry."""

    peers: Mapping[bytes, PeerRow] = field(default_factory=dict)
    documents: Mapping[bytes, Document] = field(default_factory=dict)


def proxy_knowledge(
    proxy: bytes, directory: Directory, inventory: Inventory, barred: Collection[bytes] = ()
) -> Knowledge:
    """Return what the proxy with this key is to know: its group's agents, and every revoked key.

    Keys in `barred` are shut out at this proxy as if they were revoked, until they are barred no more.
    """
    group = directory.groups.get(proxy)
    carried = {
        uuid: source
        for uuid, source in directory.sources.items()
        if any(tenure.group_id == group and tenure.end_us is None for tenure in directory.tenures.get(source.id, ()))
    }
    peers = {
        key: (key, peer.role, peer.name, peer.source or b"", peer.revoked or key in barred)
        for key, peer in directory.peers.items()
        if peer.role == "agent" and (peer.revoked or peer.source in carried)
    }
    documents = {
        uuid: document
        for uuid, source in carried.items()
        if source.host_id is not None and (document := inventory.document(source.name)) is not None
    }
    return Knowledge(peers=peers, documents=documents)


def whole(knowledge: Knowledge) -> list[dict[str, Any]]:
    """Return the bodies that give a proxy everything; the first one makes it forget what it knew."""
    return _bodies(list(knowledge.peers.values()), dict(knowledge.documents), is_full=True)


def difference(known: Knowledge, wanted: Knowledge) -> list[dict[str, Any]]:
    """Return the bodies that bring a proxy from `known` to `wanted`; none when nothing changed.

    What is no longer wanted can only be taken away by giving everything anew.
    """
    if known.peers.keys() - wanted.peers.keys() or known.documents.keys() - wanted.documents.keys():
        return whole(wanted)
    peers = [row for key, row in wanted.peers.items() if known.peers.get(key) != row]
    documents = {uuid: body for uuid, body in wanted.documents.items() if known.documents.get(uuid) != body}
    return _bodies(peers, documents, is_full=False) if peers or documents else []


def _bodies(peers: list[PeerRow], documents: dict[bytes, Document], *, is_full: bool) -> list[dict[str, Any]]:
    rows = [[uuid, body["version"], body] for uuid, body in documents.items()]
    count = max(1, -(-max(len(peers), len(rows)) // ROWS_A_MESSAGE))
    return [
        {
            "full": is_full and place == 0,
            "peers": [list(row) for row in peers[place * ROWS_A_MESSAGE : (place + 1) * ROWS_A_MESSAGE]],
            "documents": rows[place * ROWS_A_MESSAGE : (place + 1) * ROWS_A_MESSAGE],
        }
        for place in range(count)
    ]
