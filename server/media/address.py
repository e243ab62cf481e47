"""Judges whether the server may connect to an address on a definition's word; pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

# Where clouds answer a machine's own questions with credentials: nobody receives notices there, whatever a
# definition allows. 169.254.169.254 (most), fd00:ec2::254 (AWS), 100.100.100.200 (Alibaba), 168.63.129.16 (Azure),
# 192.0.0.192 (Oracle), 169.254.170.2 and .23 (AWS containers), fd20:ce::254 (Google).
_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "fd20:ce::254",
    )
)  # fmt: skip
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")


def judge_address(text: str, *, allow_private: bool) -> str | None:
    """Return why the server must not connect to the IP address `text`, or None when it may.

    An IPv6 address that stands for an IPv4 one (mapped, compatible, 6to4, Teredo, NAT64) is judged by both.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return f"{text!r} is not an IP address"
    for meant in (*_embedded(address), address):
        if meant in _METADATA:
            return f"{text} is a cloud's metadata address"
        if meant.is_multicast or meant.is_unspecified or (isinstance(meant, IPv4Address) and meant in _THIS_NETWORK):
            return f"{text} is not the address of one machine"
        if not allow_private and not meant.is_global and not _is_translated(meant):
            return f"{text} is a {_describe(meant)} address"
    return None


def _describe(address: IPv4Address | IPv6Address) -> str:
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    return "private or reserved"


def _is_translated(address: IPv4Address | IPv6Address) -> bool:
    return isinstance(address, IPv6Address) and any(address in network for network in _NAT64)


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    number = int(address)
    if (number >> 32 == 0 and number > 1) or _is_translated(address):
        found.append(IPv4Address(number & 0xFFFF_FFFF))
    return [meant for meant in found if meant is not None]
