"""What the agent does about the events of its link: settles numbers, applies configurations, remembers the epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent.backups.told import FIELDS as BACKUP_FIELDS
from agent.backups.told import read_told
from agent.document import DEFAULT_BODY, DocumentError, read_document
from agent.preference import FIELD, keep_latest, read_order
from agent.remembered import load, save
from agent.rotation import read_wanted
from core.runtime.logging import Log
from core.wire.greeter import HeartbeatFacts, HelloFacts
from core.wire.messages import Configured

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from agent.backups.told import BackupTold
    from agent.document import Document, FindProbe
    from agent.preference import Order
    from agent.remembered import Remembered
    from agent.rotation import Wanted
    from core.runtime.counters import Counters
    from core.spool.outbox import Outbox
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements, Configuration, Welcome

log = Log("agent")

SOFTWARE: Final = "watchkeep-agent 0.1.0"
_LONGEST_ANSWER: Final = 4000


class AgentGreeter:
    """The agent's Greeter. `apply` puts a checked document in force; `answer` is Publisher.send.

    `accepted` is called when a collector has welcomed the present key, `rekey` with what a server says of that key,
    `reorder` with the order of upstreams it wishes, `told` with what it says of backups, when these change.
    """

    def __init__(
        self,
        *,
        name: str,
        outbox: Outbox,
        file: Path,
        find_probe: FindProbe,
        counters: Counters,
    ) -> None:
        self._name = name
        self._outbox = outbox
        self._file = file
        self._find_probe = find_probe
        self._counters = counters
        self._remembered = load(file)
        self._apply: Callable[[Document], None] = _ignore
        self._answer: Callable[[Configured], Awaitable[None]] | None = None
        self.accepted: Callable[[], None] | None = None
        self.rekey: Callable[[Wanted | None], Awaitable[None]] | None = None
        self.reorder: Callable[[Order | None], None] | None = None
        self.told: Callable[[BackupTold], None] | None = None

    def attach(self, *, apply: Callable[[Document], None], answer: Callable[[Configured], Awaitable[None]]) -> None:
        """Put in force by `apply` what was remembered (else the built-in document); answer the server by `answer`."""
        self._apply = apply
        self._answer = answer
        body = self._remembered.body
        try:
            document = read_document(DEFAULT_BODY if body is None else body, self._find_probe)
        except DocumentError as error:
            log.warning("The remembered configuration cannot be used", file=self._file, error=error)
            self._remembered = replace(self._remembered, version=0, body=None)
            document = read_document(DEFAULT_BODY, self._find_probe)
        apply(document)

    @property
    def order(self) -> Order | None:
        """The order of upstreams that is remembered."""
        return read_order(self._remembered.body)

    @property
    def backup_told(self) -> BackupTold:
        """The runs of backups that are ordered and the limits on others, as far as is remembered."""
        return read_told(self._remembered.body)

    def hello(self) -> HelloFacts:
        """Say who this is."""
        return HelloFacts(
            role="agent",
            name=self._name,
            source=self._outbox.source.bytes,
            boots=tuple(self._outbox.held_boots()),
            configuration=self._remembered.version,
            epoch=self._remembered.epoch,
            software=SOFTWARE,
        )

    def welcomed(self, welcome: Welcome) -> None:
        """Begin a new boot when the collector has seen numbers this one never gave (a machine rolled back)."""
        if self.accepted is not None:
            self.accepted()
        if self._outbox.settle(welcome.seen):
            self._counters.add("agent.renumbered")
            log.warning("This agent was rolled back or cloned; it goes on under new numbers", boot=self._outbox.boot)

    def acknowledged(self, kind: AckKind, acks: Acknowledgements) -> None:
        """Count what was refused: it is forgotten."""
        if kind == "refused":
            refused = sum(last - first + 1 for ranges in acks.values() for first, last in ranges)
            self._counters.add("agent.refused_records", refused)
            log.warning("The server refused records; they are gone", records=refused)

    async def configured(self, message: Configuration) -> None:
        """Put the document in force, remember it, say what of it could not be done."""
        error = None
        known = self._remembered
        body = keep_latest(known.body, {name: value for name, value in message.body.items() if name != "rotation"})
        try:
            document = read_document(body, self._find_probe)
        except DocumentError as fault:
            error = str(fault)
            log.warning("A configuration was refused; the one before it stays", version=message.version, error=error)
        else:
            if body != known.body or message.version != known.version:
                self._remember(replace(self._remembered, version=message.version, body=body))
            if _sampled(body) != _sampled(known.body) or message.version != known.version:
                self._apply(document)
                log.info("A configuration is in force", version=message.version, probes=len(document.assignments))
            if self.reorder is not None and self.order != read_order(known.body):
                self.reorder(self.order)
            if self.told is not None and self.backup_told != read_told(known.body):
                self.told(self.backup_told)
            if document.faults:
                error = "; ".join(document.faults)
                log.warning("A part of the configuration cannot be done", version=message.version, error=error)
        if self._answer is not None:
            await self._answer(Configured(version=message.version, error=_printable(error)))
        if self.rekey is not None:
            await self.rekey(read_wanted(message.body))

    def epoch_seen(self, epoch: int) -> None:
        """Keep the highest epoch, so that a server of an older one cannot command this agent after a restart either."""
        self._remember(replace(self._remembered, epoch=max(epoch, self._remembered.epoch)))

    def heartbeat(self) -> HeartbeatFacts:
        """Say how much is held."""
        return HeartbeatFacts(
            boot=self._outbox.boot,
            number=self._outbox.last_number,
            held_records=self._outbox.spool.held_records,
            held_bytes=self._outbox.spool.held_bytes,
            oldest_at=self._outbox.spool.oldest_at or 0,
        )

    def _remember(self, remembered: Remembered) -> None:
        self._remembered = remembered
        try:
            save(self._file, remembered)
        except OSError as error:
            log.error("The configuration will be forgotten at the next start", file=self._file, error=error)


def _sampled(body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return what of a document the sampler needs: other orders are no reason to begin sampling anew."""
    others = (FIELD, *BACKUP_FIELDS)
    return None if body is None else {name: value for name, value in body.items() if name not in others}


def _ignore(_document: Document) -> None:
    """Stand in until the greeter is attached."""


def _printable(text: str | None) -> str | None:
    if text is None:
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_LONGEST_ANSWER]
