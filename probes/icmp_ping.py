"""Whether a machine answers echo requests, how many of them and how fast (RFC 792, RFC 4443)."""

import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Item, ProbeFailedError, Reading, Visit, probe
from probes.reaching import Deadline, Unreachable, check_host, resolve, state_reading

if TYPE_CHECKING:
    from collections.abc import Iterator

_GAP_SECONDS: Final = 0.1
_MOST_PACKETS: Final = 50
_LONGEST_SECONDS: Final = 10.0
_HEADER: Final = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_TYPES: Final = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}  # echo request and reply


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which machine."""

    host: str = field(metadata=setting("name or address of the machine", check=check_host))
    name: str | None = field(default=None, metadata=setting("name of the machine in its items; left out: the host"))
    packets: int = field(
        default=4,
        metadata=setting(
            "echo requests a visit, a tenth of a second apart",
            check=lambda count: None if 1 <= count <= _MOST_PACKETS else f"expected 1 to {_MOST_PACKETS}",
        ),
    )
    timeout: timedelta = field(
        default=timedelta(seconds=2),
        metadata=setting(
            "time the last answer may take",
            check=lambda t: None if 0.1 <= t.total_seconds() <= _LONGEST_SECONDS else "expected 100ms to 10s",
        ),
    )


_ITEMS = (
    Item(key="ping.loss", unit="%", description="Share of the requests without an answer", parameter="machine"),
    Item(key="ping.fastest", unit="s", description="Shortest time of an answer", parameter="machine"),
    Item(key="ping.mean", unit="s", description="Mean time of the answers", parameter="machine"),
    Item(key="ping.slowest", unit="s", description="Longest time of an answer", parameter="machine"),
    Item(key="ping.state", unit="", description="ok, or what is wrong", parameter="machine", type="text"),
)


@probe("icmp.ping", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=30.0)
def ping(visit: Visit, parameters: Parameters) -> "Iterator[Reading]":
    """Send the requests and wait for their answers. That none comes is a value: all of them lost.

    Raises ProbeFailedError, with the remedy, when this process may not send them.
    """
    name = parameters.name or parameters.host
    try:
        found = resolve(visit, parameters.host, 0, Deadline(parameters.timeout), kind=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        with open_socket(family) as sender:
            sender.connect(address)
            times = _exchange(sender, family, parameters)
        problem = "" if times else "no answer"
    except Unreachable as silence:
        times, problem = [], str(silence)
    except OSError as error:
        times, problem = [], error.strerror or str(error)
    yield Reading("ping.loss", 100.0 * (1 - len(times) / parameters.packets), name)
    if times:
        yield Reading("ping.fastest", min(times), name)
        yield Reading("ping.mean", sum(times) / len(times), name)
        yield Reading("ping.slowest", max(times), name)
    yield from state_reading(visit, "ping.state", name, problem or "ok")


def open_socket(family: int) -> socket.socket:
    """Return a socket for echo requests: one for everybody where the kernel grants it (icmp(7)), else a raw one."""
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except PermissionError:
            continue
    raise ProbeFailedError(
        "this process may not send echo requests: allow its group with sysctl"
        ' net.ipv4.ping_group_range="0 2147483647", or give it CAP_NET_RAW'
    )


def _exchange(sender: socket.socket, family: int, parameters: Parameters) -> list[float]:
    """Send all requests, a gap between, and return how long each answer took."""
    # Many may ping at once, and a raw socket hears all their answers: ours carry this.
    mark = os.urandom(16)
    request, reply = _TYPES[socket.AddressFamily(family)]
    waiting: dict[int | None, float] = {}
    sent = 0
    times: list[float] = []
    begun_at = time.monotonic()
    give_up_at = begun_at + _GAP_SECONDS * (parameters.packets - 1) + parameters.timeout.total_seconds()
    while len(times) < parameters.packets and (now := time.monotonic()) < give_up_at:
        next_at = begun_at + _GAP_SECONDS * sent if sent < parameters.packets else give_up_at
        if sent < parameters.packets and now >= next_at:
            waiting[sent] = now
            _send(sender, echo(request, sent, mark))
            sent += 1
            continue
        if not select.select([sender], [], [], max(0.0, min(next_at, give_up_at) - now))[0]:
            continue
        sequence = read_echo(_receive(sender), reply, mark, family)
        if sequence in waiting:
            times.append(time.monotonic() - waiting.pop(sequence))  # the same answer twice counts once
    return times


def _send(sender: socket.socket, packet: bytes) -> None:
    """Send; an unreachable network or an answer of refusal to an earlier packet counts as a lost one."""
    try:
        sender.send(packet)
    except (BlockingIOError, ConnectionRefusedError):
        return


def _receive(sender: socket.socket) -> bytes:
    try:
        return sender.recv(2048)
    except (BlockingIOError, ConnectionRefusedError):
        return b""


def echo(kind: int, sequence: int, mark: bytes) -> bytes:
    """Return an echo request. The kernel fills in checksum and identifier except on a raw socket of IPv4."""
    identifier = os.getpid() & 0xFFFF
    blank = _HEADER.pack(kind, 0, 0, identifier, sequence) + mark
    return _HEADER.pack(kind, 0, checksum(blank), identifier, sequence) + mark


def checksum(packet: bytes) -> int:
    """Return the checksum of RFC 1071 over a packet of an even length."""
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def read_echo(packet: bytes, kind: int, mark: bytes, family: int) -> int | None:
    """Return the sequence number of an answer to ours, None for anything else; a raw socket shows IPv4's header too."""
    if family == socket.AF_INET and packet[:1] and packet[0] >> 4 == 4:
        packet = packet[(packet[0] & 0x0F) * 4 :]
    if len(packet) < _HEADER.size + len(mark) or packet[_HEADER.size : _HEADER.size + len(mark)] != mark:
        return None
    found, _, _, _, sequence = _HEADER.unpack_from(packet)
    return sequence if found == kind else None
