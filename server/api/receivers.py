"""Trying a receiver: a test notice by each of its media, sent at once by the server that is asked."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import BaseModel

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.errors import ApiError, not_found
from server.api.scope import require_unrestricted
from server.escalation.payload import Happening, write_payload
from server.inventory.effective import StoredDefinitionBroken, understand
from server.inventory.model import ReceiverDefinition
from server.media.contract import Message, SendFailed, SendRefused
from server.media.registry import BY_NAME
from server.store.definitions import find_definition

_ATTEMPT_SECONDS = 20.0
_MAX_TEXT = 500


class ReceiverPath(Asked):
    """A receiver by its name."""

    name: Word


class TestBody(Asked):
    """Nothing is to be said."""


class Outcome(Answer):
    """How the test went by one medium: taken; failed, so that a notice would be tried again; refused for ever."""

    medium: str
    state: Literal["taken", "failed", "refused"]
    answer: str | None
    error: str | None


class Outcomes(Answer):
    """How the test went by each medium."""

    outcomes: list[Outcome]


@endpoint("POST", "/receivers/{name}/test", role=Role.OPERATOR, timeout_seconds=30.0, failures=(404, 409))
async def test_receiver(call: Call, path: ReceiverPath, body: TestBody) -> Outcomes:  # noqa: ARG001 - an empty body
    """Send a receiver a test notice by each of its media, whatever its severities and hours; one attempt."""
    require_unrestricted(call)
    async with call.services.database.connection() as connection:
        stored = await find_definition(connection, "receiver", path.name)
    if stored is None:
        raise not_found("receiver", path.name)
    try:
        receiver = understand(stored)
    except StoredDefinitionBroken as error:
        raise ApiError(409, "not_understood", f"{error}.", remedy="Define the receiver anew.") from error
    secrets = call.services.secrets
    if secrets is None or not isinstance(receiver, ReceiverDefinition):
        raise ApiError(409, "no_secrets", "This server has no folder of secrets.", remedy="Set `secrets`.")
    await call.services.accounts.audit(
        actor=call.user, action="receiver.test", object_=f"receiver/{path.name}", address=call.address
    )
    now = datetime.fromtimestamp(call.services.clock.now_us() / 1e6, UTC)
    message = Message(key=uuid4(), payload=_test_payload(now, call.user))
    media = receiver.media()
    outcomes = await asyncio.gather(*(_try(name, settings, message, secrets) for name, settings in media.items()))
    return Outcomes(outcomes=list(outcomes))


def _test_payload(now: datetime, by: str) -> dict[str, Any]:
    happening = Happening(
        event="test", problem_id=0, host="watchkeep", template="", trigger="", name="This is a test", parameter="",
        severity="information", value=None, opened_at=now, by=by, at=now,
    )  # fmt: skip
    return write_payload(happening)


async def _try(name: str, settings: BaseModel, message: Message, secrets: Path) -> Outcome:
    state: Literal["failed", "refused"] = "failed"
    try:
        async with asyncio.timeout(_ATTEMPT_SECONDS):
            answer = await BY_NAME[name].send(settings, message, secrets)
    except SendRefused as error:
        state, reason = "refused", str(error)
    except SendFailed as error:
        reason = str(error)
    except TimeoutError:
        reason = f"no answer within {_ATTEMPT_SECONDS:g} s"
    else:
        return Outcome(medium=name, state="taken", answer=answer[:_MAX_TEXT], error=None)
    return Outcome(medium=name, state=state, answer=None, error=reason[:_MAX_TEXT])


ENDPOINTS = (test_receiver,)
