"""A machine nobody knows, over a network of its own: let in with one command, given a new key, shut out again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.support.stranger import strangers_machine
from tests.support.waiting import wait_until
from tests.system.installation import gated_watchkeep
from tests.system.joining import typed
from watchkeep.__main__ import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.api import Api
    from tests.support.stranger import StrangersMachine
    from tests.system.installation import LocalWatchkeep

VALUES_SECONDS = 240.0
"""Issue 3 promises 30 s from the command to the first stored values; the figure tells, a busy machine is slow."""


@pytest.fixture(scope="module")
def machine() -> Iterator[StrangersMachine]:
    with strangers_machine() as made:
        yield made


@pytest.fixture(scope="module")
def gated(machine: StrangersMachine) -> Iterator[LocalWatchkeep]:
    """An installation that the stranger's machine can reach."""
    with gated_watchkeep(machine.here) as made:
        yield made


def keys_of(api: Api, name: str) -> list[dict[str, Any]]:
    return [key for key in api.get("/keys")["keys"] if key["name"] == name]


def test_a_strangers_machine_is_let_in_with_one_command_given_a_new_key_and_shut_out(
    gated: LocalWatchkeep, machine: StrangersMachine, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    api = gated.api()
    status, made = api.send("POST", "/enrolment/tokens", {"groups": ["guests"]})
    assert status == 200, made
    folder = tmp_path / "stranger"
    began = time.monotonic()
    with typed(machine, made["command"], "--name", "stranger", folder=folder):
        wait_until(
            lambda: any(h["name"] == "stranger" and h["last_at"] is not None for h in api.get("/hosts")["hosts"]),
            VALUES_SECONDS,
            f"the stranger's values; it said {(folder / 'said').read_text()}",
        )
        figure(f"stranger: values stored {time.monotonic() - began:.1f} s after the command")
        definition = api.get("/definitions/host/stranger")["document"]
        assert (definition["templates"], definition["groups"]) == (["linux-host"], ["guests"])
        (token,) = [token for token in api.get("/enrolment/tokens")["tokens"] if token["id"] == made["id"]]
        assert (token["state"], token["used_by"], token["used_address"]) == ("used", "stranger", machine.there)

        (old,) = keys_of(api, "stranger")
        assert api.send("POST", f"/keys/{old['key']}/rotation")[0] == 200
        wait_until(lambda: keys_of(api, "stranger")[0]["revoked_at"] is not None, 240, "the old key's end")
        (_, new) = keys_of(api, "stranger")
        # The agent puts its new key in place once it was welcomed with it, by when the old one has ended already.
        wait_until(lambda: new["text"] in (folder / "agent" / "key").read_text(), 120, "the new key in its place")
        wait_until(lambda: not (folder / "agent" / "key.next").exists(), 120, "nothing left beside it")

        links = (folder / "said").read_text().count("The link is down")
        assert api.send("DELETE", f"/keys/{new['key']}")[0] == 204
        wait_until(
            lambda: (folder / "said").read_text().count("The link is down") > links, 120, "the end of the live link"
        )
        actions = [entry["action"] for entry in api.get("/audit", limit=20)["entries"]]
        for action in ("enrolment.token", "enrolment.join", "key.rotate", "key.offer", "key.rotated", "key.revoke"):
            assert action in actions, action


def test_a_used_token_lets_no_second_machine_in_and_is_told_so(
    gated: LocalWatchkeep, machine: StrangersMachine, tmp_path: Path
) -> None:
    api = gated.api()
    _, made = api.send("POST", "/enrolment/tokens", {})
    with typed(machine, made["command"], "--name", "first", "--no-start", folder=tmp_path / "first") as first:
        assert first.wait(240) == 0
    with typed(machine, made["command"], "--name", "second", "--no-start", folder=tmp_path / "second") as second:
        assert second.wait(240) == 4
    assert "this token was used already" in (tmp_path / "second" / "said").read_text()
    refusals = {each["kind"]: each["count"] for each in api.get("/health")["refusals"]}
    assert refusals["enrolment.token_used"] == 1
    assert [entry for entry in api.get("/audit", limit=20)["entries"] if entry["action"] == "enrolment.refused"]


def test_a_machine_without_a_token_waits_until_it_is_approved_and_both_fingerprints_fit(
    gated: LocalWatchkeep, machine: StrangersMachine, tmp_path: Path
) -> None:
    api = gated.api()
    listed = api.get("/enrolment/requests")
    words = ("--name", "asker", "--no-start", "--fingerprint", listed["fingerprint"])
    with typed(machine, f"watchkeep-agent join {listed['entrance']}", *words, folder=tmp_path / "asker") as asker:
        wait_until(lambda: api.get("/enrolment/requests")["requests"] != [], 240, "the request")
        (request,) = api.get("/enrolment/requests")["requests"]
        assert (request["name"], request["state"]) == ("asker", "waiting")
        # It is told that it has to wait after its request was taken down.
        said = tmp_path / "asker" / "said"
        wait_until(lambda: request["fingerprint"] in said.read_text(), 120, "the machine's own fingerprint")
        assert keys_of(api, "asker") == []
        assert api.send("POST", f"/enrolment/requests/{request['id']}/approval", {}) == (200, {"host": "asker"})
        assert asker.wait(240) == 0
    assert len(keys_of(api, "asker")) == 1


def test_the_commands_do_what_the_page_does(gated: LocalWatchkeep, machine: StrangersMachine, tmp_path: Path) -> None:
    def command(*words: str, code: int = 0) -> dict[str, Any]:
        done = CliRunner().invoke(cli, [*words, "--json", "--data", str(gated.data)])  # here: a process each is slow
        assert done.exit_code == code, done.output
        found: dict[str, Any] = json.loads(done.output)
        return found

    made = command("enrol", "token", "create", "--host", "typed", "--lifetime", "10m")
    assert command("enrol", "token", "revoke", made["id"]) == {"revoked": made["id"]}
    (listed,) = [each for each in command("enrol", "token", "list")["tokens"] if each["id"] == made["id"]]
    assert (listed["state"], listed["host"]) == ("revoked", "typed")
    with typed(machine, made["command"], "--no-start", folder=tmp_path / "late") as late:
        assert late.wait(240) == 4
    assert "this token was revoked" in (tmp_path / "late" / "said").read_text()

    entrance = gated.api().get("/enrolment/requests")["entrance"]
    with typed(machine, f"watchkeep-agent join {entrance}", "--name", "refused", folder=tmp_path / "asker") as asker:
        wait_until(lambda: _waiting(command("enrol", "requests")) != [], 240, "the request")
        (number,) = _waiting(command("enrol", "requests"))
        assert command("enrol", "refuse", str(number)) == {"refused": number}
        assert asker.wait(240) == 4
    assert "nobody waits under this number" in command("enrol", "approve", str(number), code=2)["message"]
    assert "there is no template" in command("enrol", "token", "create", "--template", "none", code=2)["message"]

    rotated = command("key", "rotate", gated.host)["rotating"]
    (own,) = [key["text"] for key in keys_of(gated.api(), gated.host)[:1]]
    assert rotated == [own]
    wait_until(lambda: keys_of(gated.api(), gated.host)[0]["revoked_at"] is not None, 240, "the old key's end")
    _, key = gated.proxy()
    assert "only keys of agents" in command("key", "rotate", key, code=2)["message"]


def _waiting(found: dict[str, Any]) -> list[int]:
    return [request["id"] for request in found["requests"] if request["state"] == "waiting"]


def test_without_a_gate_the_page_is_told_how_to_open_one(running: LocalWatchkeep) -> None:
    status, answer = running.api().send("POST", "/enrolment/tokens", {})
    assert (status, answer["error"]["code"]) == (409, "no_entrance")
    assert "watchkeep up --listen ADDRESS" in answer["error"]["remedy"]
