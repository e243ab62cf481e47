"""Reads a request into an endpoint's models; everything that does not fit is refused at once with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_origin

from pydantic import ValidationError
from pydantic_core import from_json

from server.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web
    from pydantic import BaseModel

    from server.api.endpoint import Endpoint

_MAX_DEPTH = 32
_REMEDY = "Compare the request with /api/v1/openapi.json."


async def read_asked(endpoint: Endpoint, request: web.Request) -> dict[str, BaseModel]:
    """Return the handler's arguments `path`, `query` and `body`, as far as it takes them.

    Raises ApiError 400 naming every fault of path and query, or every fault of the body; 415 for a body that is not
    JSON; aiohttp's 413 for one over the application's limit.
    """
    asked: dict[str, BaseModel] = {}
    faults: list[dict[str, str]] = []
    if endpoint.path_model is not None:
        _check("path", endpoint.path_model, dict(request.match_info), asked, faults)
    query = _collect_query(endpoint.query_model, request, faults)
    if endpoint.query_model is not None:
        _check("query", endpoint.query_model, query, asked, faults)
    elif query:
        faults += [_fault("query", name, "there is no such parameter") for name in query]
    if faults:
        raise _invalid(faults)
    if endpoint.body_model is not None:
        _check("body", endpoint.body_model, await _read_json(request), asked, faults)
    if faults:
        raise _invalid(faults)
    return asked


def _collect_query(model: type[BaseModel] | None, request: web.Request, faults: list[dict[str, str]]) -> dict[str, Any]:
    """Gather repeated parameters into lists where the model has a list; a scalar given twice is a fault."""
    fields = {} if model is None else {(field.alias or name): field for name, field in model.model_fields.items()}
    found: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        if name in fields and get_origin(fields[name].annotation) in (list, tuple):
            found[name] = values
        elif len(values) > 1:
            faults.append(_fault("query", name, "is given more than once"))
        else:
            found[name] = values[0]
    return found


def _check(
    where: str,
    model: type[BaseModel],
    values: Any,
    asked: dict[str, BaseModel],
    faults: list[dict[str, str]],
) -> None:
    try:
        asked[where] = model.model_validate(values)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            place = ".".join(str(part) for part in fault["loc"])[:200]
            faults.append(_fault(where, place, fault["msg"]))


async def _read_json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise ApiError(
            415,
            "not_json",
            "The body has to be JSON.",
            remedy="Send it with the header Content-Type: application/json.",
        )
    raw = await request.read()
    try:
        found = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, "not_json", f"The body is not JSON: {error}.", remedy=_REMEDY) from error
    _refuse_unstorable(found, "", 0)
    return found


def _refuse_unstorable(value: Any, place: str, depth: int) -> None:
    """Refuse what PostgreSQL's text and jsonb cannot hold (NUL), and nesting nobody writes by hand."""
    if depth > _MAX_DEPTH:
        raise _invalid([_fault("body", place, f"is nested deeper than {_MAX_DEPTH} levels")])
    if isinstance(value, str):
        if "\x00" in value:
            raise _invalid([_fault("body", place, "holds a NUL character")])
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_unstorable(key, place, depth + 1)
            _refuse_unstorable(inner, f"{place}.{key}"[:200], depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_unstorable(inner, f"{place}.{index}"[:200], depth + 1)


def _fault(where: str, path: str, message: str) -> dict[str, str]:
    return {"where": where, "path": path, "message": message}


def _invalid(faults: list[dict[str, str]]) -> ApiError:
    first: Mapping[str, str] = faults[0]
    return ApiError(
        400,
        "invalid",
        f"{first['where']} {first['path']}: {first['message']}",
        remedy=_REMEDY,
        details=faults,
    )
