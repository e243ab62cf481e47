"""A real Keystone v3 whose tokens last seconds, and a real Swift that asks it. Import the fixture `cloud`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.keystone_process import ADMIN, PASSWORD
from tests.support.swift import CHECKOUT, READY_SECONDS, running_swift
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.swift import Swift

TOKEN_SECONDS: Final = 10
USER_DOMAIN, PROJECT_DOMAIN, PROJECT, REGION = "people", "clients", "watchkeep", "here"
_USERS: Final = {"owner": "manager", "web1": "member", "station": "member", "pruner": "member"}


@dataclass(kw_only=True)
class Cloud:
    """A running Keystone and its Swift: one project, whose owner may do everything, and users who may sign in to it."""

    folder: Path
    url: str
    key: str = "a-password"
    ids: dict[str, str] = field(default_factory=dict)
    swift: Swift = field(init=False)
    _admin_token: str | None = None

    @property
    def logins(self) -> int:
        """How many tokens were asked for."""
        return (self.folder / "logins").read_text().count("\n")

    @property
    def storage_url(self) -> str:
        """The project's account at the Swift."""
        return f"http://127.0.0.1:{self.swift.port}/v1/AUTH_{self.ids[PROJECT]}"

    def acl(self, *users: str) -> str:
        """Return these users of the project as a container's lists name them."""
        return ",".join(f"{self.ids[PROJECT]}:{self.ids[user]}" for user in users)

    def token(self, user: str = "owner") -> str:
        """Sign in, return the token."""
        scope = {"project": {"name": PROJECT, "domain": {"name": PROJECT_DOMAIN}}}
        return _sign_in(self.url, user, {"name": USER_DOMAIN}, self.key, scope)

    def credential(self, user: str) -> tuple[str, str]:
        """Have a user make an application credential; return its id and its secret."""
        found = _ask(
            f"{self.url}/users/{self.ids[user]}/application_credentials",
            {"application_credential": {"name": f"of {user} at {time.monotonic_ns()}"}},
            self.token(user),
        )[0]["application_credential"]
        return str(found["id"]), str(found["secret"])

    def populate(self, swift: Swift) -> None:
        """Make domains, project, users; a catalogue of two regions, of which one has the Swift."""
        self.swift = swift
        domains = {name: self._make("domain", name=name) for name in (USER_DOMAIN, PROJECT_DOMAIN)}
        self.ids[PROJECT] = self._make("project", name=PROJECT, domain_id=domains[PROJECT_DOMAIN])
        roles = {each["name"]: each["id"] for each in self._as_admin("roles", None)["roles"]}
        for name, role in _USERS.items():
            self.ids[name] = self._make("user", name=name, domain_id=domains[USER_DOMAIN], password=self.key)
            self._as_admin(f"projects/{self.ids[PROJECT]}/users/{self.ids[name]}/roles/{roles[role]}", {}, "PUT")
        self.ids["swift"] = self._make("service", type="object-store", name="swift")
        self._add_endpoint(REGION, swift.port)

    def add_region(self, name: str, port: int) -> str:
        """Add a region whose Swift answers at another port; return its name."""
        self._make("region", id=name)
        self._add_endpoint(name, port)
        return name

    def _add_endpoint(self, region: str, port: int) -> None:
        self._make(
            "endpoint", service_id=self.ids["swift"], interface="public", region_id=region,
            url=f"http://127.0.0.1:{port}/v1/AUTH_$(project_id)s",
        )  # fmt: skip

    def _make(self, kind: str, **values: Any) -> str:
        """Make something, return its id."""
        found: str = self._as_admin(f"{kind}s", {kind: values})[kind]["id"]
        return found

    def _as_admin(self, path: str, body: dict[str, Any] | None, method: str | None = None) -> Any:
        """Ask as the administrator, who signs in anew when the token has ended: they last seconds."""
        for _ in range(2):
            with suppress(PermissionError):
                return _ask(f"{self.url}/{path}", body, self._admin_token, method)[0]
            default = {"id": "default"}
            scope = {"project": {"name": ADMIN, "domain": default}}
            self._admin_token = _sign_in(self.url, ADMIN, default, PASSWORD, scope)
        raise AssertionError("Keystone refuses its administrator")


@contextmanager
def running_cloud() -> Iterator[Cloud]:
    """Run both; processes and folders are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-keystone-"))
    port_file = folder / "port"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.support.keystone_process", str(folder), str(port_file),
             str(TOKEN_SECONDS)],
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:

        def is_ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text(errors="replace")[-3000:]
            return port_file.exists()

        wait_until(is_ready, READY_SECONDS, "a Keystone that answers")
        cloud = Cloud(folder=folder, url=f"http://127.0.0.1:{port_file.read_text()}/v3")
        with running_swift(cloud.url) as swift:
            cloud.populate(swift)
            yield cloud
    finally:
        process.kill()
        process.wait(timeout=120)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with running_cloud() as running:
        yield running


def _sign_in(url: str, user: str, domain: dict[str, str], password: str, scope: dict[str, Any]) -> str:
    identity = {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": password}}}
    _, headers = _ask(f"{url}/auth/tokens", {"auth": {"identity": identity, "scope": scope}}, None)
    return str(headers["X-Subject-Token"])


def _ask(url: str, body: dict[str, Any] | None, token: str | None, method: str | None = None) -> tuple[Any, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own loopback address
        url, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
    )
    if token:
        request.add_header("X-Auth-Token", token)
    try:
        with urllib.request.urlopen(request, timeout=240) as answer:  # noqa: S310 - as above
            content = answer.read()
            return json.loads(content) if content else None, answer.headers
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise PermissionError(url) from error
        raise
