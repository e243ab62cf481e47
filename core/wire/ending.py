"""How the tasks of a session say that it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.wire.failover import Ending


class SessionOver(Exception):
    """The session has ended, as `ending` says; the publisher goes on with the next."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.trouble)
        self.ending = ending
