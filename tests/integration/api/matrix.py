"""What every endpoint answers to whom. A new endpoint needs its row here: without one, the matrix test fails.

The ground: hosts `db1` in group `db` and `web1` in group `web`, each with an item, a value and an open problem. What is
asked is about `db1`. `restricted` is an operator who sees group `web` only, so that his role refuses him little.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

COLUMNS: Final = ("restricted", "viewer", "operator", "administrator")
"""Who asks, besides strangers and dead tokens, who get 401 wherever somebody has to be known."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A request, and the status each column gets. `{item}`, `{problem}`, `{token}` in the path are the ground's ids.

    `is_session_only`: a token gets 403 whatever its role.
    """

    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    restricted: int
    viewer: int
    operator: int
    administrator: int
    is_session_only: bool = False


def everybody(path: str, *, restricted: int = 200, status: int = 200, **more: Any) -> Row:
    """Return a row that only the restriction to groups makes a difference in."""
    return Row(path=path, restricted=restricted, viewer=status, operator=status, administrator=status, **more)


def operators(path: str, *, restricted: int = 200, status: int = 200, **more: Any) -> Row:
    """Return a row for operators and administrators."""
    return Row(path=path, restricted=restricted, viewer=403, operator=status, administrator=status, **more)


def administrators(path: str, *, status: int = 200, **more: Any) -> Row:
    """Return a row for administrators."""
    return Row(path=path, restricted=403, viewer=403, operator=403, administrator=status, **more)


_RANGE: Final = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z"}
_NEW_PASSWORD: Final = {"password": "long enough to be one"}
_STRANGER: Final = {"user": "nobody", "password": "wrong"}
_SAMPLE: Final = {"host": "db1", "item": "cpu.busy", "at": datetime.now(UTC).isoformat(), "value": 2.5}
_HOST: Final = {"kind": "host", "name": "db1", "groups": ["web"]}
_TEMPLATE: Final = {"kind": "template", "name": "fresh"}

ROWS: Final[dict[tuple[str, str], Row]] = {
    # session
    ("POST", "/session"): everybody("/session", body=_STRANGER, restricted=401, status=401),
    ("GET", "/session"): everybody("/session"),
    ("DELETE", "/session"): everybody("/session", restricted=204, status=204, is_session_only=True),
    ("PUT", "/session/password"): everybody(
        "/session/password",
        body={"old": "wrong", "new": "long enough to be one"},
        restricted=403,
        status=403,  # for the old password is wrong
        is_session_only=True,
    ),
    # what is watched
    ("GET", "/hosts"): everybody("/hosts"),
    ("GET", "/hosts/{name}"): everybody("/hosts/db1", restricted=404),
    ("GET", "/items"): everybody("/items", query={"host": "db1"}),
    ("GET", "/items/{id}"): everybody("/items/{item}", restricted=404),
    ("GET", "/history"): everybody("/history", query={"item": "{item}", **_RANGE}, restricted=404),
    ("GET", "/hosts/{name}/ledger"): everybody("/hosts/db1/ledger", restricted=404),
    ("GET", "/ledger"): operators("/ledger", restricted=403),
    ("GET", "/gaps"): everybody("/gaps", query={"item": "{item}", **_RANGE}, restricted=404),
    ("GET", "/history/export"): everybody("/history/export", query={"host": "db1"}),
    ("POST", "/history/import"): administrators("/history/import", query={"format": "jsonl"}, body=_SAMPLE),
    ("GET", "/problems"): everybody("/problems", query={"state": "all"}),
    ("GET", "/problems/{id}"): everybody("/problems/{problem}", restricted=404),
    ("POST", "/problems/{id}/acknowledgement"): operators(
        "/problems/{problem}/acknowledgement", body={"note": "mine"}, restricted=404
    ),
    ("POST", "/problems/{id}/notes"): operators("/problems/{problem}/notes", body={"text": "looking"}, restricted=404),
    ("POST", "/receivers/{name}/test"): operators("/receivers/night/test", body={}, restricted=403, status=404),
    ("GET", "/escalations/preview"): everybody(
        "/escalations/preview", query={"host": "db1", "severity": "high"}, restricted=404
    ),
    ("GET", "/groups"): everybody("/groups"),
    ("GET", "/stream"): everybody("/stream", query={"items": "{item}", "problems": "1"}),
    ("GET", "/health"): operators("/health", restricted=403),
    ("GET", "/balance"): operators("/balance", restricted=403),
    ("GET", "/openapi.json"): everybody("/openapi.json"),
    # letting in
    ("POST", "/enrolment/tokens"): administrators("/enrolment/tokens", body={}, status=409),  # no port to ask at
    ("GET", "/enrolment/tokens"): administrators("/enrolment/tokens"),
    ("DELETE", "/enrolment/tokens/{id}"): administrators("/enrolment/tokens/aaaaaaaaaaaaa", status=404),
    ("GET", "/enrolment/requests"): administrators("/enrolment/requests"),
    ("POST", "/enrolment/requests/{id}/approval"): administrators(
        "/enrolment/requests/1/approval", body={"templates": []}, status=404
    ),
    ("DELETE", "/enrolment/requests/{id}"): administrators("/enrolment/requests/1", status=404),
    ("GET", "/keys"): administrators("/keys"),
    ("DELETE", "/keys/{key}"): administrators("/keys/" + "ab" * 32, status=404),
    ("POST", "/keys/{key}/rotation"): administrators("/keys/" + "ab" * 32 + "/rotation", status=404),
    # backups; this server has no restore station
    ("GET", "/backups"): everybody("/backups"),
    ("GET", "/backups/coverage"): everybody("/backups/coverage"),
    ("GET", "/backups/{host}/{set}/points"): everybody("/backups/db1/files/points", restricted=404, status=409),
    ("GET", "/backups/{host}/{set}/files"): everybody("/backups/db1/files/files", restricted=404, status=409),
    ("GET", "/backups/{host}/{set}/runs"): everybody("/backups/db1/files/runs", restricted=404),
    ("POST", "/backups/{host}/{set}/runs"): operators(
        "/backups/db1/files/runs", body={}, restricted=404, status=404  # db1 has no such set
    ),
    ("DELETE", "/backups/{host}/{set}/runs/{id}"): operators(
        "/backups/db1/files/runs/1", restricted=404, status=404
    ),
    ("POST", "/backups/{host}/{set}/restoration"): operators(
        "/backups/db1/files/restoration",
        body={"path": "etc/hosts", "at": "2026-11-20T18:00:00Z"},
        restricted=404,
        status=409,
    ),
    ("GET", "/restorations/{id}"): operators("/restorations/aaaaaaaaaaaaaaaaaaaaaa", restricted=409, status=409),
    ("GET", "/restorations/{id}/file"): operators(
        "/restorations/aaaaaaaaaaaaaaaaaaaaaa/file", restricted=409, status=409
    ),
    # definitions
    ("GET", "/definitions"): everybody("/definitions"),
    ("GET", "/definitions/{kind}/{name}"): everybody("/definitions/host/db1", restricted=404),
    ("POST", "/definitions/check"): everybody("/definitions/check", body={"documents": [_HOST]}, restricted=403),
    ("POST", "/definitions/apply"): administrators("/definitions/apply", body={"documents": [_TEMPLATE]}),
    ("PUT", "/definitions/{kind}/{name}"): administrators("/definitions/host/new1", body={}),
    ("DELETE", "/definitions/{kind}/{name}"): administrators("/definitions/host/new1"),
    # accounts
    ("GET", "/users"): administrators("/users"),
    ("POST", "/users"): administrators(
        "/users", body={"name": "fresh", "role": "viewer", **_NEW_PASSWORD}
    ),
    ("GET", "/users/{name}"): administrators("/users/someone"),
    ("PUT", "/users/{name}"): administrators("/users/someone", body={"role": "operator"}),
    ("PUT", "/users/{name}/password"): administrators("/users/someone/password", body=_NEW_PASSWORD),
    ("DELETE", "/users/{name}"): administrators("/users/someone", status=204),
    ("GET", "/tokens"): everybody("/tokens"),
    ("POST", "/tokens"): everybody("/tokens", body={"name": "mine", "role": "viewer"}, is_session_only=True),
    ("DELETE", "/tokens/{id}"): Row(
        path="/tokens/{token}", restricted=404, viewer=404, operator=404, administrator=204, is_session_only=True
    ),
    ("GET", "/audit"): administrators("/audit"),
}  # fmt: skip
