"""The OpenAPI document is valid and complete, and what it says is what is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from server.api.application import ENDPOINTS
from server.api.endpoint import PREFIX, Role

if TYPE_CHECKING:
    from tests.integration.api.site import Site


async def test_the_document_is_valid_openapi(signed_in: Site) -> None:
    document = await signed_in.get("/openapi.json")
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())


async def test_the_document_describes_every_route_that_is_served(signed_in: Site) -> None:
    document = await signed_in.get("/openapi.json")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    app = signed_in.server.app  # type: ignore[attr-defined] # a TestServer has one
    served = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    assert described == served
    assert described == {(endpoint.method, PREFIX + endpoint.path) for endpoint in ENDPOINTS}


async def test_every_operation_is_named_once_explained_and_says_who_may_call_it(signed_in: Site) -> None:
    operations = _operations(await signed_in.get("/openapi.json"))
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)
    for method, path, operation in operations:
        assert operation["summary"], path
        is_open = operation["security"] == []
        assert is_open == ((method, path) == ("post", f"{PREFIX}/session"))
        assert operation["x-role"] in {role.name.lower() for role in Role}


async def test_answers_hold_what_the_document_promises(signed_in: Site) -> None:
    """Of every GET without needs: each required property of its schema is there, and none besides."""
    document = await signed_in.get("/openapi.json")
    checked = 0
    for method, path, operation in _operations(document):
        content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        reference = content.get("schema", {}).get("$ref", "")
        if method != "get" or "{" in path or not reference or any(p["required"] for p in operation["parameters"]):
            continue
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
        answer = await signed_in.get(path.removeprefix(PREFIX))
        assert set(schema["required"]) <= answer.keys() <= schema["properties"].keys(), path
        checked += 1
    assert checked >= 6


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, operation) for path, item in document["paths"].items() for method, operation in item.items()]
