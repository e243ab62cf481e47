"""The OpenAPI document, made from the very declarations that check requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from server.api.endpoint import PREFIX, Answer, Role
from server.api.security import COOKIE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaMode

    from server.api.endpoint import Endpoint

_REASONS = {
    400: "The request does not fit this description.",
    401: "Nobody is signed in, or user or password is wrong.",
    403: "The role may not do that, or the request came from another site's page.",
    404: "There is no such thing.",
    409: "Something else depends on it.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "What was sent is not accepted; `errors` names the faults with file, line, place and remedy.",
    429: "Too many tries; Retry-After says how long to wait.",
    502: "The restore station could not do it.",
    503: "The database is away or slow, or there are too many streams.",
}
_UNREAD = {
    "text/plain": {
        "schema": {"type": "string", "description": "What could not be read as HTTP, or a first line that is too long."}
    }
}
_FAULT = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "remedy"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "remedy")},
        },
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these endpoints."""
    schemas = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Watchkeep",
            "version": "1",
            "description": "Times are ISO 8601 in UTC inside objects and milliseconds since 1970 in columns.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Fault": _FAULT},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
                "token": {"type": "http", "scheme": "bearer", "description": "wk_…; beside it a cookie is ignored."},
            },
        },
    }


def _schemas(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    wanted: dict[type[BaseModel], JsonSchemaMode] = {}
    for endpoint in endpoints:
        if endpoint.body_model is not None:
            wanted[endpoint.body_model] = "validation"
        if endpoint.answer_model is not None:
            wanted[endpoint.answer_model] = "serialization"
    _, document = models_json_schema(
        list(wanted.items()),
        ref_template="#/components/schemas/{model}",
    )
    found: dict[str, Any] = document.get("$defs", {})
    return found


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "tags": [endpoint.path.split("/")[1]],
        "parameters": [*_parameters("path", endpoint.path_model), *_parameters("query", endpoint.query_model)],
        "responses": _responses(endpoint),
        "security": [] if endpoint.role is Role.ANYONE else [{"session": []}, {"token": []}],
        "x-role": endpoint.role.name.lower(),
    }
    if endpoint.body_media:
        schema: dict[str, Any] = {"type": "string"}
        if endpoint.body_model is not None:
            schema = {"$ref": f"#/components/schemas/{endpoint.body_model.__name__}"}
        content = {media: {"schema": schema} for media in endpoint.body_media}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(where: str, model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "in": where,
            "required": where == "path" or name in required,
            "description": inner.get("description", ""),
            "schema": {key: value for key, value in inner.items() if key not in {"title", "description"}},
        }
        for name, inner in schema["properties"].items()
    ]


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.answer_model is not None and issubclass(endpoint.answer_model, Answer):
        schema: dict[str, Any] = {"$ref": f"#/components/schemas/{endpoint.answer_model.__name__}"}
        responses: dict[str, Any] = {
            str(endpoint.answer_status): {
                "description": "Done.",
                "content": {media: {"schema": schema} for media in endpoint.answer_media},
            }
        }
    elif endpoint.answer_media != ("application/json",):
        content = {media: {"schema": {"type": "string"}} for media in endpoint.answer_media}
        responses = {"200": {"description": "A stream.", "content": content}}
    elif endpoint.handler.__annotations__.get("return") in {None, "None"}:
        responses = {"204": {"description": "Done."}}
    else:
        responses = {"200": {"description": "Done.", "content": {"application/json": {"schema": {"type": "object"}}}}}
    fault = {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}}
    statuses = {400, 503, *endpoint.failures}
    if endpoint.role is not Role.ANYONE:
        statuses |= {401, 403, 429}
    if endpoint.method != "GET":
        statuses.add(403)
    if endpoint.body_model is not None:
        statuses |= {413, 415}
    if re.search(r"\{\w+\}", endpoint.path):
        statuses.add(404)
    for status in sorted(statuses):
        responses[str(status)] = {"description": _REASONS[status], "content": fault}
    responses["400"]["content"] = fault | _UNREAD
    return responses
