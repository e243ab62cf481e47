"""In which order an agent tries its upstreams: the server's wish, as far as it names upstreams of our own settings.

The document came through a proxy, and a proxy may be in wrong hands. So an order never brings in an upstream, and never
takes one away: a key that is not in our settings is passed over, and what the order leaves out follows in the order of
the settings. The worst a wrong order can do is to choose among collectors that are trusted anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.security.keys import KeyFault, read_public

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.wire.upstream import Upstream

FIELD: Final = "upstreams"
_MOST_KEYS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Public keys, the preferred one first. Of two orders the one with the higher `number` is the later."""

    number: int
    keys: tuple[bytes, ...]


def read_order(body: Mapping[str, Any] | None) -> Order | None:
    """Return the order a document names; None when it names none that is understood."""
    found = None if body is None else body.get(FIELD)
    if not isinstance(found, dict):
        return None
    number, keys = found.get("number"), found.get("keys")
    if type(number) is not int or not isinstance(keys, list) or len(keys) > _MOST_KEYS:
        return None
    if not all(isinstance(key, str) for key in keys):
        return None
    try:
        return Order(number=number, keys=tuple(read_public(key) for key in keys))
    except KeyFault:
        return None


def keep_latest(known: Mapping[str, Any] | None, heard: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document just heard, with the order of the `known` one where that is the later, or the only one.

    Two proxies need not have been told of a move at the same instant: the slower one shall not send an agent back.
    """
    body = dict(heard)
    before, now = read_order(known), read_order(heard)
    if now is None:
        body.pop(FIELD, None)
    if known is not None and before is not None and (now is None or now.number < before.number):
        body[FIELD] = known[FIELD]
    return body


def arrange(own: Iterable[Upstream], order: Order | None) -> tuple[Upstream, ...]:
    """Return our own upstreams, all of them, as the order wishes; without one as they stand in the settings."""
    places = {} if order is None else {key: place for place, key in reversed(list(enumerate(order.keys)))}
    return tuple(sorted(own, key=lambda upstream: places.get(upstream.key, len(places))))
