"""Replaces the agent's key when the server asks: offers a new one, and goes over to it once it is accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from core.runtime.logging import Log
from core.security.keys import KeyFault
from core.wire.messages import NewKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agent.identity import Identity
    from core.runtime.clock import Clock

log = Log("agent")

REPEAT_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the server says of our key: `old` is to be replaced, `new` is accepted, `refused` never will be."""

    old: str
    new: str | None
    refused: str | None


def read_wanted(body: Mapping[str, Any]) -> Wanted | None:
    """Return what a document says of our key; None when it says nothing that is understood."""
    found = body.get("rotation")
    if not isinstance(found, dict) or not isinstance(found.get("old"), str):
        return None
    new, refused = found.get("new"), found.get("refused")
    return Wanted(
        old=found["old"],
        new=new if isinstance(new, str) else None,
        refused=refused if isinstance(refused, str) else None,
    )


class KeyReplacement:
    """Acts on what was heard last, and again every five seconds, since any message may be lost on its way."""

    def __init__(
        self, identity: Identity, clock: Clock, *, send: Callable[[NewKey], Awaitable[None]], renew: Callable[[], None]
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._send = send
        self._renew = renew
        self._wanted: Wanted | None = None

    async def heard(self, wanted: Wanted | None) -> None:
        """Take note of what the present upstream says."""
        self._wanted = wanted
        await self._act()

    async def run(self) -> NoReturn:
        """Repeat until cancelled."""
        while True:
            await self._clock.sleep(REPEAT_SECONDS)
            await self._act()

    async def _act(self) -> None:
        wanted = self._wanted
        if wanted is None:
            return
        if wanted.new is not None and self._identity.has_next(wanted.new):
            if self._identity.accept(wanted.new):
                log.info("The new key is accepted; the link begins anew under it")
                self._renew()
            return
        try:
            offered = self._identity.offer(wanted.old, wanted.refused)
        except (KeyFault, OSError) as error:
            log.error("A new key cannot be made; the old one stays", error=error)
            return
        if offered is not None:
            await self._send(NewKey(old=self._identity.current.public, new=offered))
