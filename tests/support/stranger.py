"""Another machine, as far as the network goes: a network namespace with one wire to this one."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.support.addresses import addresses_change

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class StrangersMachine:
    """`here` is our address on the wire, `there` the stranger's; `prefix` makes a command run over there, as us."""

    here: str
    there: str
    prefix: tuple[str, ...]


@contextmanager
def strangers_machine() -> Iterator[StrangersMachine]:
    """Make one; needs root, or sudo without a password. Over there nothing of ours but that wire can be reached."""
    become_root = () if os.geteuid() == 0 else ("sudo", "-n")
    name = f"wk{uuid4().hex[:8]}"
    network = f"10.213.{uuid4().int % 256}"
    here, there = f"{network}.1", f"{network}.2"
    inside = (*become_root, "ip", "netns", "exec", name)
    as_us = (
        ("setpriv", f"--reuid={os.getuid()}", f"--regid={os.getgid()}", "--clear-groups", "--") if become_root else ()
    )

    def ip(*words: str, prefix: tuple[str, ...] = become_root) -> None:
        subprocess.run([*prefix, "ip", *words], check=True, capture_output=True, timeout=120)

    ip("netns", "add", name)
    try:
        with addresses_change():
            ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}s", "netns", name)
            ip("link", "set", f"{name}h", "addrgenmode", "none")  # no further address of its own, seconds later
            ip("address", "add", f"{here}/24", "dev", f"{name}h")
            ip("link", "set", f"{name}h", "up")
        ip("address", "add", f"{there}/24", "dev", f"{name}s", prefix=inside)
        ip("link", "set", f"{name}s", "up", prefix=inside)
        yield StrangersMachine(here=here, there=there, prefix=(*inside, *as_us))
    finally:
        with addresses_change():
            subprocess.run([*become_root, "ip", "link", "delete", f"{name}h"], check=False, capture_output=True)
        ip("netns", "delete", name)
