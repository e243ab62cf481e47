"""Root on a host with its credentials at a Swift that keeps history where the host cannot reach: all comes back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from swiftclient import client

from tests.support.backups import CHECKOUT, PLACE, SET, change, demand_same, fill, new_site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.backups import Pairs, Site
    from tests.support.swift import Swift

_REFUSED = (400, 403)  # 400: an empty name of a container
_DOCS = CHECKOUT / "docs" / "backup-keys.md"


def _connection(swift: Swift, user: str) -> client.Connection:
    return client.Connection(authurl=swift.auth_url, user=user, key=swift.key, auth_version="1", retries=0)


def _target(swift: Swift, container: str, user: str) -> str:
    return (
        f'kind = "swift"\nauth_url = "{swift.auth_url}"\nuser = "test:{user}"\nkey_file = "swift.key"\n'
        f'container = "{container}"\ntimeout = "60s"'
    )


@pytest.fixture
def kept(pairs: Pairs, swift: Swift) -> Iterator[tuple[Site, str]]:
    """A site whose host may write to a container with history, whose station may read it, whose pruner may delete."""
    container = swift.new_container()
    owner = _connection(swift, swift.user)
    owner.put_container(f"{container}-history")
    owner.put_container(
        container,
        headers={
            "X-History-Location": f"{container}-history",
            "X-Container-Read": "test:web1,test:station,test:pruner",
            "X-Container-Write": "test:web1,test:pruner",
        },
    )
    with new_site(pairs, _target(swift, container, "web1")) as site:
        fill(site.data)
        site.add_pruner('retention.keep_chains = 1\ngrace = "0s"', target=_target(swift, container, "pruner"))
        text = site.file("station").read_text()
        site.file("station").write_text(text.replace("test:web1", "test:station"))
        for role in ("host", "station", "pruner"):
            (site.folder / role / "swift.key").write_text(swift.key)
        yield site, container


def _demand_refused(attempt: Callable[..., Any], *arguments: Any, **more: Any) -> None:
    with pytest.raises(client.ClientException) as caught:
        attempt(*arguments, **more)
    assert caught.value.http_status in _REFUSED


def _attack(host: client.Connection, container: str) -> None:
    """Do all the harm a host's credentials can do."""
    history = f"{container}-history"
    _, objects = host.get_container(container, full_listing=True)
    names = [entry["name"] for entry in objects]
    assert len(names) > 8
    for headers in ({"X-History-Location": ""}, {"X-Remove-History-Location": "x"}, {"X-Container-Write": "test:web1"}):
        _demand_refused(host.post_container, container, headers)
    _demand_refused(host.post_container, history, {"X-Container-Write": "test:web1"})
    _demand_refused(host.get_container, history)
    for name in names:
        _demand_refused(host.post_object, container, name, {"X-Delete-After": "1"})
        _demand_refused(host.put_object, container, name, b"x", headers={"X-Delete-At": "4000000000"})
    for number, name in enumerate(names):
        if number % 2:
            host.put_object(container, name, b"overwritten once")
            host.put_object(container, name, b"and again")
        host.delete_object(container, name)
    with contextlib.suppress(client.ClientException):
        host.delete_container(container)
    _demand_refused(host.delete_container, history)
    for name in names:
        _demand_refused(host.delete_object, history, f"{len(name):03x}{name}/")
    _, left = host.get_container(container, full_listing=True)
    assert left == []


def _recall(swift: Swift, container: str, before: datetime) -> None:
    """Bring everything back by the lines of the manual."""
    marked = r"<!-- recall: a test runs these lines -->\n```python\n(.*?)```"
    (lines,) = re.findall(marked, _DOCS.read_text(), re.DOTALL)
    environment = os.environ | {
        "ST_AUTH": swift.auth_url, "ST_USER": swift.user, "ST_KEY": swift.key, "CONTAINER": container,
        "HISTORY": f"{container}-history", "BEFORE": before.isoformat(),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", lines], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.trial("S-11")
def test_what_a_stolen_host_overwrites_and_deletes_comes_back_byte_identical(
    kept: tuple[Site, str], swift: Swift
) -> None:
    site, container = kept
    site.run()
    change(site.data / "empty", "second")
    site.run()
    before = json.loads(site.bkp("station", "list", SET, "--json").stdout)["points"]
    assert len(before) == 2
    attacked_at = datetime.now(UTC)
    _attack(_connection(swift, "test:web1"), container)
    assert json.loads(site.bkp("station", "list", SET, "--json").stdout)["points"] == []
    _recall(swift, container, attacked_at)
    assert json.loads(site.bkp("station", "list", SET, "--json").stdout)["points"] == before
    verified = site.bkp("station", "verify", SET, "--depth", "decrypted")
    assert verified.returncode == 0, verified.stderr
    back = site.folder / "back"
    restored = site.bkp("station", "restore", SET, "--to", str(back))
    assert restored.returncode == 0, restored.stderr
    demand_same(back / str(site.data)[1:], site.data)


def test_a_pruner_deletes_at_a_swift_and_a_stations_credentials_do_not(kept: tuple[Site, str], swift: Swift) -> None:
    site, container = kept
    site.run()
    change(site.data / "empty", "second")
    site.run(is_full_asked=True)
    text = site.file("pruner").read_text()
    site.file("pruner").write_text(text.replace("test:pruner", "test:station"))
    refused = site.prune("--yes", exit_code=21)
    assert refused[-1]["chains_deleted"] == 0
    doctor = site.bkp("pruner", "doctor")
    assert (doctor.returncode, "has to delete" in doctor.stdout) == (2, True)
    assert len(json.loads(site.bkp("station", "list", SET, "--json").stdout)["points"]) == 2
    site.file("pruner").write_text(text)
    assert site.prune("--yes")[-1]["chains_deleted"] == 1
    _, objects = _connection(swift, swift.user).get_container(container, full_listing=True)
    chains = {Path(entry["name"]).parts[3] for entry in objects if entry["name"].startswith(f"{PLACE.chains}/")}
    assert len(chains) == 1
    change(site.data / "empty", "third")
    assert str(site.run().kind) == "incremental"
    verified = site.bkp("station", "verify", SET, "--depth", "decrypted")
    assert verified.returncode == 0, verified.stderr
