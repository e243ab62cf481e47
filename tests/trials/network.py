"""Machines of a trial, as far as the network goes: a namespace for each part, on one bridge with this machine.

Cutting drops packets at one of the two, without a word to either, in one direction or in both.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from uuid import uuid4

from tests.support.addresses import addresses_change
from tests.trials.site import PROXIES, SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

Direction = Literal["both", "out", "in"]
HERE: Final = "here"
"""This machine: the database, the sources, the webhook receiver."""
_PATH: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_CHAINS: Final[dict[Direction, tuple[tuple[str, str], ...]]] = {
    "out": (("OUTPUT", "-d"),),
    "in": (("INPUT", "-s"),),
    "both": (("OUTPUT", "-d"), ("INPUT", "-s")),
}


@dataclass(frozen=True)
class Network:
    """`addresses` of the parts and of HERE on the bridge."""

    name: str
    addresses: dict[str, str]

    def prefix(self, part: str) -> tuple[str, ...]:
        """What makes a command run on the part's machine; nothing for what runs here."""
        return ("ip", "netns", "exec", f"{self.name}-{part}") if part in (*SERVERS, *PROXIES) else ()

    def cut(self, part: str, other: str, direction: Direction = "both") -> None:
        """Drop what goes between two, at the part's machine: out of it, into it, or both."""
        for chain, end in _CHAINS[direction]:
            _run(*self.prefix(part), "iptables", "-w", "-A", chain, end, self.addresses[other], "-j", "DROP")

    def heal(self, part: str) -> None:
        """Undo every cut at the part's machine."""
        _run(*self.prefix(part), "iptables", "-w", "-F")


@contextmanager
def network() -> Iterator[Network]:
    """Make the machines; they are gone at the end. Needs root, ip and iptables (deploy/setup.sh dev)."""
    name = f"wk{uuid4().hex[:6]}"
    subnet = f"10.214.{uuid4().int % 256}"
    places = {part: 11 + place for place, part in enumerate((*SERVERS, *PROXIES))}
    made = Network(name, {HERE: f"{subnet}.1"} | {part: f"{subnet}.{place}" for part, place in places.items()})
    try:
        with addresses_change():
            _run("ip", "link", "add", name, "type", "bridge")
            _run("ip", "link", "set", name, "addrgenmode", "none")  # no further address of its own, seconds later
            _run("ip", "address", "add", f"{subnet}.1/24", "dev", name)
            _run("ip", "link", "set", name, "up")
            for part, place in places.items():
                _wire(made, part, place, f"{subnet}.{place}/24")
        yield made
    finally:
        with addresses_change():
            for wire in (*(f"{name}p{place}" for place in places.values()), name):
                subprocess.run(["ip", "link", "delete", wire], check=False, capture_output=True, timeout=30)
        for part in places:
            subprocess.run(["ip", "netns", "delete", f"{name}-{part}"], check=False, capture_output=True, timeout=30)


def _wire(made: Network, part: str, place: int, address: str) -> None:
    """Make the part's machine, and the wire from the bridge to it."""
    wire = f"{made.name}p{place}"
    _run("ip", "netns", "add", f"{made.name}-{part}")
    _run("ip", "link", "add", wire, "type", "veth", "peer", "name", "wire", "netns", f"{made.name}-{part}")
    _run("ip", "link", "set", wire, "addrgenmode", "none")
    _run("ip", "link", "set", wire, "master", made.name, "up")
    for words in (
        ("address", "add", address, "dev", "wire"),
        ("link", "set", "wire", "up"),
        ("link", "set", "lo", "up"),
    ):
        _run(*made.prefix(part), "ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=30, env=_PATH)
    assert done.returncode == 0, (
        f"{' '.join(words)}: {done.stderr} (root is needed, and what deploy/setup.sh dev installs)"
    )
