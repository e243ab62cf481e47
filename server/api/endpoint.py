"""The one form of an endpoint: its handler's signature checks requests and makes the OpenAPI document."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

if TYPE_CHECKING:
    from aiohttp import web

    from server.api.services import Services
    from server.store.accounts import Visitor

Method = Literal["GET", "POST", "PUT", "DELETE"]
PREFIX = "/api/v1"


class Role(IntEnum):
    """Who may call an endpoint; a higher role may do all a lower one may."""

    ANYONE = 0
    VIEWER = 1
    OPERATOR = 2
    ADMINISTRATOR = 3


def _refuse_controls(text: str) -> str:
    if any(ord(letter) < 32 or ord(letter) == 127 or 0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        raise ValueError("control characters are not allowed here")
    return text


Word = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_refuse_controls)]
"""A name or search text: bounded, without control characters (PostgreSQL takes no NUL)."""


class Asked(BaseModel):
    """Base of what requests carry: unknown fields are refused, nothing is changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Base of what is answered; not-a-number and infinities go out as null, since JSON has none."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request whose sender is known and allowed to make it."""

    request: web.Request
    services: Services
    visitor: Visitor | None
    finishers: list[Callable[[web.StreamResponse], None]] = field(default_factory=list)

    def on_answer(self, finisher: Callable[[web.StreamResponse], None]) -> None:
        """Have the answer pass through `finisher` before it is sent: for cookies and headers."""
        self.finishers.append(finisher)

    @property
    def address(self) -> str:
        """Address of the peer of the connection."""
        return self.request.remote or "unknown"

    @property
    def user(self) -> str:
        """Name of who asks; empty when nobody is signed in."""
        return self.visitor.user if self.visitor is not None else ""


Handler = Callable[..., Awaitable[Any]]
HandlerT = TypeVar("HandlerT", bound=Handler)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A declared endpoint. `path` is below PREFIX; models are None where the handler takes no such part.

    A handler returns its answer model, a ready web response, or None (204).
    """

    method: Method
    path: str
    role: Role
    summary: str
    handler: Handler
    path_model: type[Asked] | None
    query_model: type[Asked] | None
    body_model: type[BaseModel] | None
    answer_model: type[Answer] | None
    answer_media: tuple[str, ...]
    body_media: tuple[str, ...]
    answer_status: int
    timeout_seconds: float | None
    failures: tuple[int, ...]


def endpoint(  # noqa: PLR0913 - what is declared of an endpoint, by name
    method: Method,
    path: str,
    *,
    role: Role,
    media: str | tuple[str, ...] = "application/json",
    takes: tuple[str, ...] = (),
    status: int = 200,
    timeout_seconds: float | None = 10.0,
    failures: tuple[int, ...] = (),
) -> Callable[[Handler], Endpoint]:
    """Declare the decorated coroutine function as an endpoint.

    Its parameters say what it takes: `call`, and by name `path`, `query`, `body` with their models; its return
    annotation is the answer's model, sent with `status`. `takes` are the forms of a body that the handler reads by
    itself, instead of a `body` model. `timeout_seconds` None is for streams. `failures` are further
    statuses of its own.
    """

    def declare(handler: Handler) -> Endpoint:
        hints = get_type_hints(handler, include_extras=True)
        unknown = set(inspect.signature(handler).parameters) - {"call", "path", "query", "body"}
        if unknown:
            raise TypeError(f"{handler.__qualname__} takes {sorted(unknown)}, which no request has")
        answer = hints["return"]
        return Endpoint(
            method=method,
            path=path,
            role=role,
            summary=(inspect.getdoc(handler) or "").split("\n\n")[0].replace("\n", " "),
            handler=handler,
            path_model=hints.get("path"),
            query_model=hints.get("query"),
            body_model=hints.get("body"),
            answer_model=answer if inspect.isclass(answer) and issubclass(answer, Answer) else None,
            answer_media=(media,) if isinstance(media, str) else media,
            body_media=takes or (("application/json",) if "body" in hints else ()),
            answer_status=status,
            timeout_seconds=timeout_seconds,
            failures=failures,
        )

    return declare
