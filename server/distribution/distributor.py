"""Tells every live link what it is to know: all of it when the link begins, what changed afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from core.runtime.logging import Log
from core.wire.messages import Configuration
from server.distribution.bodies import Knowledge, difference, proxy_knowledge, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from core.security.authority import Peer
    from server.intake.directory import Directory
    from server.inventory.effective import Inventory

log = Log("distribution")


class Link(Protocol):
    """The sending side of a collector."""

    async def send(self, key: bytes, message: Configuration) -> bool:
        """Send to the peer with this key; False when it has no live link."""


class Distributor:
    """Keeps what each link has been told; a new link has been told nothing.

    `amended` adds to a source's document what is no definition; `polled` are the documents of the hosts a proxy polls.
    """

    def __init__(  # noqa: PLR0913 - what it looks at
        self,
        link: Link,
        epoch: Callable[[], int],
        directory: Callable[[], Directory],
        inventory: Callable[[], Inventory],
        barred: Callable[[bytes], Collection[bytes]] = lambda _: (),
        amended: Callable[[bytes, dict[str, Any]], dict[str, Any]] = lambda _, document: document,
        *,
        polled: Callable[[bytes], Mapping[bytes, dict[str, Any]]] = lambda _: {},
    ) -> None:
        self._link = link
        self._epoch = epoch
        self._directory = directory
        self._inventory = inventory
        self._barred = barred
        self._amended = amended
        self._polled = polled
        self._told: dict[bytes, Knowledge] = {}

    async def begin(self, peer: Peer) -> None:
        """Tell a link that has just been welcomed everything."""
        if peer.role == "proxy":
            knowledge = self._of_proxy(peer.key)
            if await self._send(peer.key, whole(knowledge)):
                self._told[peer.key] = knowledge
        elif peer.source is not None and (document := self._document(peer.source)) is not None:
            await self._send(peer.key, [document])
            self._told[peer.key] = Knowledge(documents={peer.source: document})

    async def refresh(self, peers: Iterable[Peer]) -> None:
        """Tell the live links what has changed since they were told last."""
        live = {peer.key: peer for peer in peers}
        self._told = {key: known for key, known in self._told.items() if key in live}
        for key, peer in live.items():
            known = self._told.get(key, Knowledge())
            if peer.role == "proxy":
                wanted = self._of_proxy(key)
                bodies = difference(known, wanted)
            elif peer.source is not None and (document := self._document(peer.source)) is not None:
                wanted = Knowledge(documents={peer.source: document})
                bodies = [document] if known.documents.get(peer.source) != document else []
            else:
                continue
            if bodies and await self._send(key, bodies):
                self._told[key] = wanted

    def _of_proxy(self, key: bytes) -> Knowledge:
        known = proxy_knowledge(key, self._directory(), self._inventory(), self._barred(key))
        documents = {source: self._amended(source, document) for source, document in known.documents.items()}
        return replace(known, documents={**documents, **self._polled(key)})

    def _document(self, source: bytes) -> dict[str, Any] | None:
        known = self._directory().sources.get(source)
        document = None if known is None else self._inventory().document(known.name)
        return None if document is None else self._amended(source, document)

    async def _send(self, key: bytes, bodies: list[dict[str, Any]]) -> bool:
        revision = self._inventory().revision
        for body in bodies:
            message = Configuration(epoch=self._epoch(), version=body.get("version", revision), body=body)
            if not await self._link.send(key, message):
                log.warning("a link went before it was told its configuration", key=key)
                return False
        return True
