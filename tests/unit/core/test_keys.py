"""Key files: made once, private, and never misread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq
from zmq.utils import z85

from core.security.authority import KeyRing, Peer
from core.security.keys import KeyFault, KeyPair, key_text, load, read_public, save
from core.wire.curve import load_or_create, make_keys

if TYPE_CHECKING:
    from pathlib import Path


def test_our_letters_are_those_of_zeromq() -> None:
    for _ in range(20):
        public, _ = zmq.curve_keypair()
        assert read_public(public.decode()) == z85.decode(public)
        assert key_text(read_public(public.decode())) == public.decode()


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    pair = load_or_create(path)
    assert load_or_create(path) == pair
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["key"]
    with pytest.raises(KeyFault, match="File exists"):
        save(path, make_keys())
    assert load(path) == pair


def test_the_secret_never_shows(tmp_path: Path) -> None:
    pair = load_or_create(tmp_path / "key")
    assert key_text(pair.secret) not in f"{pair!r} {pair}"
    assert repr(pair.secret) not in f"{pair!r} {pair}"


def test_a_key_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(KeyFault, match=f"chmod 600 {path}"):
        load(path)


@pytest.mark.parametrize(("old", "new"), [("secret", "x"), ('"', '"~'), ("public", "#")])
def test_a_damaged_key_file_is_named_and_its_content_is_not(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "key"
    pair = load_or_create(path)
    path.write_text(path.read_text().replace(old, new, 3))
    with pytest.raises(KeyFault, match=str(path)) as caught:
        load(path)
    assert key_text(pair.secret) not in str(caught.value)


def test_a_public_key_that_belongs_to_another_secret_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    save(path, KeyPair(public=make_keys().public, secret=make_keys().secret))
    with pytest.raises(KeyFault, match="does not belong"):
        load_or_create(path)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFault, match="No such file"):
        load(tmp_path / "none")


@pytest.mark.parametrize("text", ["", "x" * 39, "x" * 41, "~" * 40, "#" * 40])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(KeyFault):
        read_public(text)


def test_a_revoked_key_stays_known_as_revoked() -> None:
    key = bytes(32)
    ring = KeyRing([Peer(key=key, role="agent", name="a", source=bytes(16))])
    ring.revoke(key)
    ring.revoke(bytes([1]) * 32)
    found = ring.peer(key)
    assert found is not None
    assert found.revoked
    assert len(ring) == 1
