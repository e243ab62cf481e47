"""Answers those who ask to be let in: by a token they prove to hold, or by waiting for an administrator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from core.security.enrolment import (
    Admission,
    EnrolmentFault,
    Signed,
    Token,
    fingerprint,
    is_request_of,
    pack,
    read_request,
    request_digest,
    sign_answer,
    unpack,
    write_admission,
)
from server.enrolment.admission import EnrolmentRefused, Place, let_in
from server.enrolment.limit import AddressLimit
from server.store.audit import write_audit
from server.store.enrolment import (
    StoredRequest,
    Use,
    claim_token,
    drop_oldest_requests,
    find_request,
    find_token,
    note_request,
    wipe_expired,
)
from server.store.peers import find_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.security.enrolment import (
        Newcomer,
    )
    from server.enrolment.terms import EnrolmentTerms
    from server.store.database import Database
    from server.store.enrolment import StoredToken

_AUDITED_REFUSALS: Final = 100
_AUDIT_WINDOW_SECONDS: Final = 3600.0
_NEVER: Final = datetime.fromtimestamp(0, tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back: 200 with the answer, 202 while an administrator has not decided."""

    status: int
    body: bytes


class Exchange:
    """One server's end of the exchange. Nothing but a proven request, or an administrator, lets anybody in."""

    def __init__(
        self,
        *,
        database: Database,
        terms: EnrolmentTerms,
        clock: Clock,
        count_refusal: Callable[[str, str], None],
    ) -> None:
        self._database = database
        self._terms = terms
        self._clock = clock
        self._count_refusal = count_refusal
        self._audited = AddressLimit(_AUDITED_REFUSALS, _AUDIT_WINDOW_SECONDS)

    async def answer(self, body: bytes, address: str) -> Reply:
        """Answer the body of a request. Raises EnrolmentRefused (counted, of known tokens audited), StoreAway."""
        try:
            signed = unpack(body)
            newcomer = read_request(signed.text)
        except EnrolmentFault as error:
            refused = EnrolmentRefused(400, "malformed", str(error), "use the same version on both machines")
            self._count_refusal(refused.code, f"{refused.message}, from {address}")
            raise refused from error
        try:
            if signed.token is None:
                return await self._ask(signed.text, newcomer, address)
            return await self._use(signed.token, signed, newcomer, address)
        except EnrolmentRefused as refused:
            self._count_refusal(refused.code, f"{newcomer.name} from {address}: {refused.message}")
            if signed.token is not None and refused.code != "token_unknown":
                await self._audit_refusal(signed.token, refused, newcomer, address)
            raise

    async def _use(self, token_id: str, signed: Signed, newcomer: Newcomer, address: str) -> Reply:
        digest = request_digest(signed.text)
        async with self._database.connection() as connection:
            await wipe_expired(connection)
            stored = await find_token(connection, token_id)
            again = _answered_before(stored, digest)
            if again is not None:
                return Reply(status=200, body=again)
            token = _usable(stored)
            if not is_request_of(token, signed):
                raise EnrolmentRefused(
                    403,
                    "not_proven",
                    "the request was not made with this token, or was changed on its way",
                    "copy the token again; if it was right, somebody between the machines changes what they say",
                )
            assert stored is not None  # noqa: S101 - _usable has refused
            place = Place(
                host=stored.host or newcomer.name,
                is_named=stored.host is not None,
                templates=stored.templates,
                groups=stored.groups,
                proxy_group=stored.proxy_group,
            )
            answer = pack(sign_answer(token, signed.text, self._admission(newcomer, place.host)))
            use = Use(name=place.host, address=address, key=newcomer.key, digest=digest, answer=answer.decode("ascii"))
            async with connection.transaction():
                if not await claim_token(connection, token_id, use):
                    # Somebody used it since we looked; the very same request gets the very same answer.
                    again = _answered_before(await find_token(connection, token_id), digest)
                    if again is None:
                        raise _used()
                    return Reply(status=200, body=again)
                await let_in(connection, newcomer, place, by=f"token {token_id}")
                detail = {
                    "key": fingerprint(newcomer.key),
                    "source": str(newcomer.source),
                    "created_by": stored.created_by,
                }
                await write_audit(
                    connection,
                    actor=f"token {token_id}",
                    action="enrolment.join",
                    object_=place.host,
                    address=address,
                    detail=detail,
                )
        return Reply(status=200, body=answer)

    async def _ask(self, text: str, newcomer: Newcomer, address: str) -> Reply:
        if not self._terms.by_approval:
            raise EnrolmentRefused(
                403, "token_needed", "nobody is let in here without a token", "ask an administrator for a token"
            )
        request = StoredRequest(
            id=0, key=newcomer.key, digest=request_digest(text), name=newcomer.name, source=newcomer.source,
            software=newcomer.software, address=address, requested_at=_NEVER, seen_at=_NEVER, decided_at=None,
            decided_by=None, host=None, is_known_host=False,
        )  # fmt: skip
        async with self._database.connection() as connection, connection.transaction():
            await wipe_expired(connection)
            before = await find_request(connection, key=newcomer.key)
            if before is None and await find_key(connection, newcomer.key) is not None:
                raise EnrolmentRefused(
                    409, "key_known", "this key is known already", "join with another --data folder: it gets its own"
                )
            if not await note_request(connection, request):
                raise EnrolmentRefused(
                    409, "key_asked", "this key asked for something else before", "join with another --data folder"
                )
            dropped = await drop_oldest_requests(connection)
        for _ in range(dropped):
            self._count_refusal("crowded_out", "a request that waited longest was dropped for a newer one")
        if before is not None and before.decided_at is not None:
            if before.host is None:
                raise EnrolmentRefused(
                    403, "not_approved", "an administrator refused this request", "ask why; join anew afterwards"
                )
            return Reply(status=200, body=pack(Signed(text=self._admission(newcomer, before.host))))
        return Reply(status=202, body=b"{}")

    def _admission(self, newcomer: Newcomer, host: str) -> str:
        return write_admission(Admission(name=host, source=newcomer.source, ways=self._terms.ways))

    async def _audit_refusal(self, token: str, refused: EnrolmentRefused, newcomer: Newcomer, address: str) -> None:
        """Write a refusal down, as long as strangers do not fill the log with them."""
        if self._audited.begin("all", self._clock.monotonic()) == 0:
            async with self._database.connection() as connection:
                await write_audit(
                    connection,
                    actor=f"token {token}",
                    action="enrolment.refused",
                    object_=newcomer.name,
                    address=address,
                    detail={"reason": refused.code, "fingerprint": fingerprint(newcomer.key)},
                )


def _answered_before(stored: StoredToken | None, digest: bytes) -> bytes | None:
    """Return what this very request was answered with, as long as the token has not expired."""
    if stored is None or stored.is_expired or stored.answer is None or stored.digest != digest:
        return None
    return stored.answer.encode()


def _usable(stored: StoredToken | None) -> Token:
    anew = "ask an administrator for a new token"
    if stored is None:
        raise EnrolmentRefused(403, "token_unknown", "there is no such token", f"copy the whole of it, or {anew}")
    if stored.revoked_at is not None:
        raise EnrolmentRefused(403, "token_revoked", "this token was revoked", anew)
    if stored.used_at is not None:
        raise _used()
    if stored.is_expired or stored.secret is None:
        raise EnrolmentRefused(403, "token_expired", "this token has expired", anew)
    return Token(id=stored.id, secret=stored.secret)


def _used() -> EnrolmentRefused:
    return EnrolmentRefused(
        403,
        "token_used",
        "this token was used already; each lets one machine in",
        "if it was not you who used it, tell an administrator at once; else ask for a new token",
    )
