"""How newcomers find this installation: what the server that serves enrolment tells page and commands by the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from core.security.enrolment import Way, fingerprint
from core.security.keys import read_public
from server.store.settings import read_setting, remove_setting, write_setting

if TYPE_CHECKING:
    from server.settings import ServerSettings
    from server.store.database import Connection

_SETTING = "enrolment"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentTerms:
    """What newcomers are answered with, and whether they may ask without a token."""

    ways: tuple[Way, ...]
    by_approval: bool

    @property
    def fingerprint(self) -> str:
        """What a newcomer without a token compares, so that nobody in between can send it elsewhere."""
        return fingerprint(*(way.key for way in self.ways))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where newcomers ask: the URL for the command, the fingerprint they are shown, and who serves it."""

    url: str
    fingerprint: str
    by_approval: bool
    server: str

    def command(self, token: str) -> str:
        """Return what is to be typed on the newcomer's machine."""
        return f"watchkeep-agent join {self.url} {token}"


def terms_of(settings: ServerSettings) -> EnrolmentTerms:
    """Return the terms a configuration asks for."""
    ways = tuple(Way(endpoint=each.endpoint, key=read_public(each.key)) for each in settings.enrolment_upstreams)
    return EnrolmentTerms(ways=ways, by_approval=settings.enrolment_by_approval)


async def announce(connection: Connection, entrance: Entrance) -> None:
    """Let page and commands know where newcomers ask; of several servers the last one to start is named."""
    await write_setting(connection, _SETTING, asdict(entrance), by=entrance.server)


async def withdraw(connection: Connection, server: str) -> None:
    """Let page and commands know that this server serves no enrolment any more."""
    found = await find_entrance(connection)
    if found is not None and found.server == server:
        await remove_setting(connection, _SETTING)


async def find_entrance(connection: Connection) -> Entrance | None:
    """Return where newcomers ask; None when no server lets them."""
    found = await read_setting(connection, _SETTING)
    if not isinstance(found, dict):
        return None
    try:
        return Entrance(**found)
    except TypeError:  # written by another version, which will write it again
        return None
