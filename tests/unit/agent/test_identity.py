"""A key is replaced so that whoever is killed, whenever, comes back with a key that is accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from agent.identity import AGAIN_SECONDS, Identity
from agent.rotation import Wanted, read_wanted
from core.runtime.clock import SystemClock
from core.security.keys import key_text, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from core.security.keys import KeyPair


class StoodClock(SystemClock):
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Server:
    """What a server and its proxies accept."""

    accepted: set[bytes] = field(default_factory=set)
    successor: bytes | None = None

    def welcomes(self, pair: KeyPair) -> bool:
        return pair.public in self.accepted

    def offered(self, new: bytes) -> None:
        if self.successor is not None and self.successor != new:
            self.accepted.discard(self.successor)
        self.successor = new
        self.accepted.add(new)

    def finish(self, old: bytes) -> None:
        self.accepted.discard(old)


@pytest.fixture
def clock() -> StoodClock:
    return StoodClock()


def comes_in(identity: Identity, server: Server) -> int:
    """Begin sessions until one is welcomed; return how many it took, at most three."""
    for tries in range(1, 4):
        if server.welcomes(identity.pair()):
            identity.welcomed()
            return tries
    raise AssertionError("it is locked out")


def test_a_key_is_replaced_once_the_new_one_was_welcomed(tmp_path: Path, clock: StoodClock) -> None:
    identity = Identity(tmp_path / "key", clock)
    old = identity.pair()
    server = Server({old.public})
    identity.welcomed()
    new = identity.offer(old.public_text, None)
    assert new is not None
    assert identity.offer(old.public_text, None) == new, "offered again, it is the same"
    assert load(tmp_path / "key") == old, "the old one stays until the new one was welcomed"
    assert not identity.accept(key_text(bytes(32))), "not ours"
    server.offered(new)
    assert identity.accept(key_text(new))
    assert comes_in(identity, server) == 1
    assert load(tmp_path / "key").public == new
    assert not (tmp_path / "key.next").exists()
    assert identity.offer(old.public_text, None) is None, "the old one is not ours any more"


STEPS: dict[str, Callable[[Identity, Server], object]] = {
    "offer": lambda identity, server: server.offered(identity.offer(identity.current.public_text, None) or b""),
    "offer that is lost": lambda identity, _: identity.offer(identity.current.public_text, None),
    "accept": lambda identity, server: identity.accept(key_text(server.successor or bytes(32))),
    "welcome": comes_in,
}
ORDER = ["offer that is lost", "offer", "accept", "welcome"]


@pytest.mark.parametrize("killed_after", range(len(ORDER) + 1))
@pytest.mark.parametrize("is_finished", [False, True], ids=["old accepted", "old revoked"])
def test_killed_at_any_step_it_comes_back_and_the_replacement_ends(
    tmp_path: Path, clock: StoodClock, killed_after: int, *, is_finished: bool
) -> None:
    identity = Identity(tmp_path / "key", clock)
    old = identity.pair().public
    identity.welcomed()
    server = Server({old})
    for step in ORDER[:killed_after]:
        STEPS[step](identity, server)
    if is_finished and server.successor is not None:
        server.finish(old)  # the server heard the new key, and its holder was killed before it knew
    identity = Identity(tmp_path / "key", clock)
    comes_in(identity, server)
    if identity.current.public == old:
        STEPS["offer"](identity, server)
        STEPS["accept"](identity, server)
        comes_in(identity, server)
    server.finish(old)
    assert comes_in(Identity(tmp_path / "key", clock), server) == 1
    assert load(tmp_path / "key").public == server.successor


def test_killed_between_putting_the_new_key_in_place_and_clearing_up_it_comes_back(
    tmp_path: Path, clock: StoodClock
) -> None:
    identity = Identity(tmp_path / "key", clock)
    new = identity.offer(identity.current.public_text, None)
    (tmp_path / "key").write_bytes((tmp_path / "key.next").read_bytes())
    again = Identity(tmp_path / "key", clock)
    assert again.current.public == new
    assert not (tmp_path / "key.next").exists()


def test_a_new_key_that_a_proxy_does_not_know_yet_is_tried_again_later_and_the_old_one_goes_on(
    tmp_path: Path, clock: StoodClock
) -> None:
    identity = Identity(tmp_path / "key", clock)
    old = identity.pair()
    identity.welcomed()
    new = identity.offer(old.public_text, None)
    assert new is not None
    server = Server({old.public})
    assert identity.accept(key_text(new))
    assert comes_in(identity, server) == 2
    assert identity.current == old
    assert not identity.accept(key_text(new)), "not at once"
    clock.now += AGAIN_SECONDS
    server.offered(new)
    assert identity.accept(key_text(new))
    assert comes_in(identity, server) == 1


def test_a_new_key_that_was_revoked_is_made_anew(tmp_path: Path, clock: StoodClock) -> None:
    identity = Identity(tmp_path / "key", clock)
    first = identity.offer(identity.current.public_text, None)
    assert first is not None
    second = identity.offer(identity.current.public_text, key_text(first))
    assert second not in (None, first)


def test_a_damaged_next_key_is_no_obstacle(tmp_path: Path, clock: StoodClock) -> None:
    current = Identity(tmp_path / "key", clock).current
    (tmp_path / "key.next").write_text("rubbish")
    identity = Identity(tmp_path / "key", clock)
    assert identity.current == current
    assert identity.offer(current.public_text, None) is not None


@pytest.mark.parametrize("said", [None, 1, [], {}, {"old": 1}], ids=str)
def test_what_is_not_understood_of_a_rotation_is_none(said: object) -> None:
    assert read_wanted({"rotation": said}) is None


def test_what_is_said_of_a_rotation_is_read() -> None:
    assert read_wanted({"rotation": {"old": "a", "new": None, "refused": "b"}}) == Wanted(
        old="a", new=None, refused="b"
    )
