"""What a server's document says of this host's backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent.backups.orders import FIELD as ORDERS_FIELD
from agent.backups.orders import read_orders
from agent.backups.places import FIELD as LIMITS_FIELD
from agent.backups.places import read_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.backups.orders import RunOrder
    from agent.backups.places import Limit

FIELDS: Final = (ORDERS_FIELD, LIMITS_FIELD)


class BackupTold(NamedTuple):
    """The runs it orders, and the limits under which others need a place."""

    orders: tuple[RunOrder, ...] = ()
    limits: tuple[Limit, ...] = ()


def read_told(body: Mapping[str, Any] | None) -> BackupTold:
    """Return what a document says; what is not understood is passed over."""
    return BackupTold(read_orders(body), read_limits(body))
