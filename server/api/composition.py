"""Opens what the API is made of, over one database: what a server daemon calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.api.facts import FactsKeeper
from server.api.latest_values import LatestValues
from server.api.live import LiveFeed
from server.api.login import Login
from server.api.passwords import Passwords
from server.api.refusals import RefusalLedger
from server.api.services import Services
from server.api.token_door import TokenDoor
from server.api.transfers import Transfers
from server.api.web_terms import WebTerms
from server.store.accounts import Accounts
from server.store.tokens import Tokens
from server.store.users import Users

if TYPE_CHECKING:
    from pathlib import Path

    from core.runtime.clock import Clock
    from server.api.services import HealthSource, Pages
    from server.restoring.station import RestoreStation
    from server.store.database import Database


def make_services(  # noqa: PLR0913 - what the composing command opens, by name
    *,
    database: Database,
    health: HealthSource,
    clock: Clock,
    terms: WebTerms | None = None,
    pages: Pages | None = None,
    restoring: RestoreStation | None = None,
    secrets: Path | None = None,
) -> Services:
    """Make everything `make_application` needs.

    `database` is for the API alone, so that its few connections bound what the pages may ask of the database.
    `secrets` is the folder of secret files that receivers name; without it none can be tested.
    """
    terms = terms or WebTerms()
    accounts, passwords, tokens = Accounts(database), Passwords(), Tokens(database)
    refusals = RefusalLedger(clock)
    return Services(
        database=database,
        accounts=accounts,
        users=Users(database),
        tokens=tokens,
        token_door=TokenDoor(tokens=tokens, accounts=accounts, refusals=refusals, clock=clock, terms=terms.login),
        passwords=passwords,
        login=Login(accounts=accounts, passwords=passwords, refusals=refusals, clock=clock, terms=terms),
        latest=LatestValues(database, clock),
        live=LiveFeed(database, clock),
        transfers=Transfers(),
        facts=FactsKeeper(database, clock),
        health=health,
        refusals=refusals,
        clock=clock,
        terms=terms,
        pages=pages,
        restoring=restoring,
        secrets=secrets,
    )
