"""Lets programs in by their tokens, and writes down who was refused, no oftener than people can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server.api.errors import ApiError, too_many_tries
from server.api.login_limit import LoginLimit, LoginTerms
from server.store.tokens import PREFIX

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from server.api.refusals import RefusalLedger
    from server.store.accounts import Accounts, Visitor
    from server.store.tokens import Tokens

_MAX_LETTERS: Final = 100
# Of one user or address within the window: beyond it refusals are still counted, but the audit log is not filled.
_NOTED: Final = LoginTerms(tries_per_address=20, tries_per_user=20)


class TokenDoor:
    """Knows tokens; counts, limits and audits those that open nothing.

    A token has 256 random bits, so the limit is not against guessing but against noise: one that is good opens at any
    time, whatever else its address tried; of those that are not, the eleventh within five minutes is answered 429.
    """

    def __init__(
        self, *, tokens: Tokens, accounts: Accounts, refusals: RefusalLedger, clock: Clock, terms: LoginTerms
    ) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._refusals = refusals
        self._clock = clock
        self._limit = LoginLimit(terms)
        self._noted = LoginLimit(_NOTED)

    async def visitor(self, token: str, address: str) -> Visitor | None:
        """Return for whom the token speaks, or None. Raises StoreAway."""
        if not token.startswith(PREFIX) or len(token) > _MAX_LETTERS or not token.isascii():
            return None
        return await self._tokens.find_visitor(token, address=address)

    async def refuse(self, address: str, request: str) -> None:
        """Raise ApiError 401 for a token that opens nothing, or 429 when its address had too many of them."""
        wait = self._limit.begin(address, "", self._clock.monotonic())
        if wait > 0:
            self._refusals.count("web.token_limited", f"{request} from {address}")
            raise too_many_tries(wait, "Too many tokens were refused.")
        self._refusals.count("web.token_wrong", f"{request} from {address}")
        await self._accounts.audit(actor="", action="token.refused", object_=request[:1000], address=address, detail={})
        raise ApiError(
            401,
            "token_refused",
            "The token is not known here, or its time is over, or it was revoked.",
            remedy="Make a new one with `watchkeep token create`, or on the page.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )

    async def note_forbidden(self, visitor: Visitor, address: str, method: str, path: str) -> None:
        """Write into the audit log that somebody tried to change what his role may not."""
        if self._noted.begin(address, visitor.user, self._clock.monotonic()) > 0:
            return
        await self._accounts.audit(
            actor=visitor.user,
            action="request.forbidden",
            object_=f"{method} {path}"[:1000],
            address=address,
            detail={"role": visitor.role, "token": visitor.token_id},
        )
