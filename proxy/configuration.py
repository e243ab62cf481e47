"""What the server told this proxy: who may speak to it, and what each source shall do. Kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.runtime.logging import Log
from core.security.authority import ROLES, KeyRing, Peer
from core.wire import shapes
from core.wire.messages import Configuration
from proxy.files import read_whole, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_log = Log("configuration")
_MOST_ROWS = 100_000
FILE: Final = "configuration.msgpack"  # in the proxy's data folder


def _source_or_none(value: Any) -> bytes | None:
    return None if value is None or value == b"" else shapes.source_id(value)


_peers = shapes.rows(
    shapes.row(shapes.key, shapes.choice(*ROLES), shapes.name, _source_or_none, shapes.boolean), _MOST_ROWS
)
_documents = shapes.rows(shapes.row(shapes.source_id, shapes.count, shapes.body), _MOST_ROWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What one source shall do."""

    version: int
    body: Mapping[str, Any]


class ProxyConfiguration:
    """The key ring and the documents in force; both survive a restart, so agents are served while servers are away."""

    def __init__(self, file: Path) -> None:
        """Read `file`; without one nobody is let in until a server was heard."""
        self.ring = KeyRing()
        self.epoch = 0
        self.version = 0
        self._documents: dict[bytes, Document] = {}
        self._outdated: set[bytes] = set()
        self._file = file
        self._read()

    def document(self, source: bytes) -> Configuration | None:
        """Return the message that tells a source what to do; None when the server has not said."""
        known = self._documents.get(source)
        return None if known is None else Configuration(epoch=self.epoch, version=known.version, body=known.body)

    def polled(self) -> list[Mapping[str, Any]]:
        """Return the documents of the hosts this proxy is to poll."""
        return [known.body for known in self._documents.values() if "poll" in known.body]

    def apply(self, message: Configuration) -> set[bytes]:
        """Put a message of the server in force, whole or not at all; return the sources whose document changed.

        `full` begins a new picture, sent in several messages when it is large: peers it no longer names stay until
        `forget_outdated`. Raises ShapeError saying what is wrong.
        """
        body = message.body
        unknown = body.keys() - {"full", "peers", "documents"}
        if unknown:
            raise shapes.ShapeError(f"a configuration without the fields {sorted(unknown)!r:.200}")
        is_full = shapes.boolean(body.get("full"))
        peers = [
            Peer(key=key, role=role, name=name, source=source, revoked=revoked)
            for key, role, name, source, revoked in _peers(body.get("peers"))
        ]
        documents = {
            source: Document(version=version, body=content)
            for source, version, content in _documents(body.get("documents"))
        }
        if is_full:
            self._outdated = {peer.key for peer in self.ring}
        for peer in peers:
            self.ring.put(peer)
            self._outdated.discard(peer.key)
        changed = {source for source, document in documents.items() if self._documents.get(source) != document}
        self._documents = documents if is_full else {**self._documents, **documents}
        self.version = message.version
        self._save()
        return changed

    def forget_outdated(self) -> None:
        """Forget the peers the last full picture did not name; call it some seconds after the last message."""
        if self._outdated:
            self.ring.replace([peer for peer in self.ring if peer.key not in self._outdated])
            self._outdated = set()
            self._save()

    def see_epoch(self, epoch: int) -> None:
        """Write down the highest epoch seen."""
        self.epoch = max(self.epoch, epoch)
        self._save()

    def _save(self) -> None:
        content = {
            "epoch": self.epoch,
            "version": self.version,
            "peers": [[peer.key, peer.role, peer.name, peer.source, peer.revoked] for peer in self.ring],
            "documents": [[source, known.version, known.body] for source, known in self._documents.items()],
        }
        try:
            write_whole(self._file, content)
        except OSError as error:
            _log.error("The configuration cannot be written; it is in force until the next start", error=error)

    def _read(self) -> None:
        content = read_whole(self._file)
        if content is None:
            return
        try:
            found = shapes.body(content)
            self.epoch = shapes.count(found.get("epoch"))
            self.version = shapes.count(found.get("version"))
            for key, role, name, source, revoked in _peers(found.get("peers")):
                self.ring.put(Peer(key=key, role=role, name=name, source=source, revoked=revoked))
            for source, version, body in _documents(found.get("documents")):
                self._documents[source] = Document(version=version, body=body)
        except shapes.ShapeError as error:
            _log.error("The remembered configuration is damaged and not used", file=self._file, error=error)
