"""Users who are signed in without the cost of hashing a password, and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.api.security import COOKIE
from server.store.tokens import NewToken
from server.store.users import By, Terms

if TYPE_CHECKING:
    from collections.abc import Collection

    from server.store.users import User
    from tests.integration.api.site import Site

Headers = dict[str, str]
NO_HASH = "nobody's password"


async def add_user(site: Site, name: str, role: str, groups: Collection[str] | None = None) -> User:
    terms = Terms(role=role, groups=None if groups is None else tuple(groups))
    return await site.services.users.create(name, terms, NO_HASH, by=By(name="test"))


async def open_session(site: Site, name: str) -> Headers:
    """Return the headers of a browser in which the user is signed in."""
    account = await site.services.accounts.find_account(name)
    assert account is not None
    token, _ = await site.services.accounts.open_session(
        account, address="127.0.0.1", program="test", seconds=3600, idle_seconds=3600
    )
    return {"Cookie": f"{COOKIE}={token}"}


async def sign_in_new(site: Site, name: str, role: str, groups: Collection[str] | None = None) -> Headers:
    """Add a user and return the headers of his browser."""
    await add_user(site, name, role, groups)
    return await open_session(site, name)


async def make_token(
    site: Site, owner: str, role: str, groups: Collection[str] | None = None, name: str = "made"
) -> tuple[Headers, int]:
    """Return the headers of a program with a token of the owner's, and the token's id."""
    wanted = NewToken(name=name, role=role, groups=None if groups is None else frozenset(groups), expires_at=None)
    secret, token = await site.services.tokens.create(owner, wanted, by=owner, address="")
    return {"Authorization": f"Bearer {secret}"}, token.id
