"""Signing in and out, and the one administrator: decided here, stored by server/store/accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.api.errors import ApiError, too_many_tries
from server.api.login_limit import LoginLimit
from server.api.passwords import WeakPassword, check_new_password, generate_password
from server.store.errors import StoreAway

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from server.api.passwords import Passwords
    from server.api.refusals import RefusalLedger
    from server.api.web_terms import WebTerms
    from server.store.accounts import Account, Accounts, Visitor

ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Somebody says who he is."""

    user: str
    password: str
    address: str
    program: str


class Login:
    """Signs in: limits tries, compares the password, opens a session, writes the audit log."""

    def __init__(
        self, *, accounts: Accounts, passwords: Passwords, refusals: RefusalLedger, clock: Clock, terms: WebTerms
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._refusals = refusals
        self._clock = clock
        self._terms = terms
        self._limit = LoginLimit(terms.login)

    async def sign_in(self, attempt: Attempt) -> tuple[str, Visitor]:
        """Return a new session's token and visitor.

        Raises ApiError 429 when too many tries failed lately, 401 for a wrong user or password: which of the two it
        was shows neither in the answer nor in the time it takes.
        """
        account = await self._confirm(attempt)
        if account is None:
            raise ApiError(
                401,
                "wrong_password",
                "User or password is wrong.",
                remedy="Try again, or set a new password on the server with: watchkeep password",
            )
        if self._passwords.is_outdated(account.password_hash):
            renewed = await self._passwords.hash(attempt.password)
            await self._accounts.renew_hash(account.id, account.password_hash, renewed)
        return await self._accounts.open_session(
            account,
            address=attempt.address,
            program=attempt.program,
            seconds=self._terms.session_seconds,
            idle_seconds=self._terms.session_idle_seconds,
        )

    async def change_own_password(self, attempt: Attempt, new: str, *, session: str) -> int:
        """Give who knows the password in `attempt` the new one, end his sessions but `session`, return how many ended.

        Raises ApiError 429 when too many tries failed lately (it is a log-in like any other), 403 for a wrong password,
        400 for a new one that is not accepted.
        """
        account = await self._confirm(attempt)
        if account is None:
            raise ApiError(403, "wrong_password", "The old password is wrong.", remedy="Try again.")
        hashed = await hash_new(self._passwords, new, account.name)
        return await self._accounts.set_password(
            account.name, hashed, by=account.name, address=attempt.address, keep_session=session
        )

    async def _confirm(self, attempt: Attempt) -> Account | None:
        """Return the account when the password is its; count, limit and audit when it is not."""
        began = self._clock.monotonic()
        wait = self._limit.begin(attempt.address, attempt.user, began)
        if wait > 0:
            self._refusals.count("web.login_limited", f"{attempt.user} from {attempt.address}")
            raise too_many_tries(wait, "Too many log-ins failed.")
        try:
            account = await self._accounts.find_account(attempt.user)
        except StoreAway:  # nothing was tried: who asks again and again until the database is back is no attacker
            self._limit.withdraw(attempt.address, attempt.user, began)
            raise
        if not await self._passwords.is_right(attempt.password, None if account is None else account.password_hash):
            self._refusals.count("web.login_wrong", f"{attempt.user} from {attempt.address}")
            await self._accounts.audit(
                actor=attempt.user, action="session.refused", object_=attempt.user, address=attempt.address
            )
            return None
        self._limit.succeeded(attempt.address, attempt.user)
        return account


async def hash_new(passwords: Passwords, password: str, user: str) -> str:
    """Return the hash of a new password. Raises ApiError 400 for one that is not accepted."""
    try:
        check_new_password(password, user)
    except WeakPassword as error:
        raise ApiError(
            400, "weak_password", f"The new password is not accepted: {error}.", remedy="Choose a longer one."
        ) from error
    return await passwords.hash(password)


async def ensure_administrator(accounts: Accounts, passwords: Passwords) -> str | None:
    """Create the administrator when no account exists; return his generated password, once, or None.

    Two servers starting at the same time create one: only the one that did gets a password. There is no other way
    in, above all no set-up page.
    """
    if await accounts.has_accounts():
        return None
    password = generate_password()
    is_created = await accounts.create_first(ADMINISTRATOR, await passwords.hash(password), role="administrator")
    return password if is_created else None


async def set_password(accounts: Accounts, passwords: Passwords, user: str, password: str) -> int:
    """Give `user` a new password and end his sessions; return how many ended.

    Raises WeakPassword for one that is not accepted, LookupError when there is no such user.
    """
    check_new_password(password, user)
    return await accounts.set_password(user, await passwords.hash(password), by="watchkeep password")
