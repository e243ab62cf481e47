"""`watchkeep tail` on the whole product: what was measured here is heard a moment later, by who may listen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.support.waiting import wait_until
from tests.system.installation import watchkeep

if TYPE_CHECKING:
    from tests.system.installation import LocalWatchkeep


def test_what_is_heard_is_what_is_stored(running: LocalWatchkeep) -> None:
    done = watchkeep(
        "tail",
        f"{running.host}/cpu/b*",
        "--json",
        "--count",
        "3",
        "--seconds",
        "600",
        "--data",
        str(running.data),
        timeout_seconds=900,
    )
    assert (done.returncode, done.stderr) == (0, "")
    heard = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["topic"] for line in heard} == {f"{running.host}/cpu/busy"}
    api = running.api()
    (item,) = [item for item in api.get("/items", host=running.host)["items"] if item["key"] == "cpu.busy"]
    instants = sorted(line["at_us"] for line in heard)
    span = {"from": _iso(instants[0]), "to": _iso(instants[-1] + 1)}
    (series,) = api.get("/history", item=item["id"], **span)["series"]
    stored = list(zip(series["at"], series["value"], strict=True))
    assert sorted((line["at_us"] // 1000, line["value"]) for line in heard) == stored


def test_a_subscriber_is_let_in_and_shut_out(running: LocalWatchkeep) -> None:
    folder = running.folder / "wallboard"
    folder.mkdir(exist_ok=True)
    feeds = (running.data / "tail.toml").read_text().partition("[[feeds]]")[2]
    config = folder / "tail.toml"
    config.write_text(f'key_file = "{folder / "own.key"}"\n[[feeds]]{feeds}')
    listen = ("tail", "--config", str(config), "--seconds", "60", "--count", "1")
    refused = watchkeep(*listen)
    assert refused.returncode == 1
    assert "watchkeep key allow --role subscriber" in refused.stderr
    key = refused.stderr.rpartition("this one is ")[2].strip().removesuffix(")")
    data = ("--data", str(running.data))
    allowed = watchkeep("key", "allow", "--role", "subscriber", "--name", "wallboard", *data, "--", key)
    assert allowed.returncode == 0, allowed.stderr
    wait_until(lambda: watchkeep(*listen).returncode == 0, 300, "values for the subscriber")
    revoked = watchkeep("key", "revoke", *data, "--", key)
    assert revoked.returncode == 0, revoked.stderr
    wait_until(lambda: watchkeep(*listen).returncode == 1, 300, "the subscriber shut out")


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).isoformat()
