"""Decides who is told of an event; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.inventory.model import ReceiverDefinition


class Address(NamedTuple):
    """A receiver and the medium by which it is told."""

    receiver: str
    media: str


def route_opened(severity: str, receivers: Iterable[ReceiverDefinition]) -> list[Address]:
    """Return who is told that a problem of this severity opened: receivers that ask for it, by each of their media."""
    return [
        Address(receiver.name, media)
        for receiver in receivers
        if severity in receiver.severities
        for media in receiver.media()
    ]


def route_resolved(told: Iterable[Address], receivers: Iterable[ReceiverDefinition]) -> list[Address]:
    """Return who is told that a problem is over: exactly those `told` of its opening who can still be told.

    Whatever a receiver asks for by now, somebody who heard of a problem hears of its end.
    """
    reachable = {(receiver.name, media) for receiver in receivers for media in receiver.media()}
    return [address for address in dict.fromkeys(told) if address in reachable]
