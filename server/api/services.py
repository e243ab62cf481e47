"""What the API is made of; the composing command opens these and hands them down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from core.runtime.clock import Clock
    from server.api.facts import FactsKeeper
    from server.api.latest_values import LatestValues
    from server.api.live import LiveFeed
    from server.api.login import Login
    from server.api.passwords import Passwords
    from server.api.refusals import RefusalCount, RefusalLedger
    from server.api.token_door import TokenDoor
    from server.api.transfers import Transfers
    from server.api.web_terms import WebTerms
    from server.restoring.station import RestoreStation
    from server.store.accounts import Accounts
    from server.store.database import Database
    from server.store.tokens import Tokens
    from server.store.users import Users

Pages = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Serves whatever is not the API: the built page's files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    """How one part is: a server, proxy, agent, the database, a daemon's task. `faults` are what has to be mended."""

    kind: str
    name: str
    state: Literal["up", "silent", "refused", "revoked", "unknown"]
    since: datetime | None = None
    counters: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    faults: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFacts:
    """What the links tell of a host's agent; None where nothing does."""

    software: str | None = None
    upstream: str | None = None
    clock_skew_seconds: float | None = None
    spool_bytes: int | None = None


class HealthSource(Protocol):
    """What the server daemon knows of itself and its links; reading it never waits."""

    @property
    def role(self) -> Literal["active", "standby"]:
        """Whether this server holds the lease."""

    @property
    def epoch(self) -> int:
        """The epoch it holds or last saw."""

    @property
    def server(self) -> str:
        """Its name."""

    def parts(self) -> Sequence[PartHealth]:
        """Every part it hears of; short on the standby."""

    def agent(self, host: str) -> AgentFacts | None:
        """What is heard of the agent on a host; None on the standby and for hosts without one."""

    def refusals(self) -> Sequence[RefusalCount]:
        """What links, intake and ingest refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a handler may use."""

    database: Database
    accounts: Accounts
    users: Users
    tokens: Tokens
    token_door: TokenDoor
    passwords: Passwords
    login: Login
    latest: LatestValues
    live: LiveFeed
    transfers: Transfers
    facts: FactsKeeper
    health: HealthSource
    refusals: RefusalLedger
    clock: Clock
    terms: WebTerms
    pages: Pages | None = None
    restoring: RestoreStation | None = None
    secrets: Path | None = None
