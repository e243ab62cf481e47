"""What a host says of its backups, and waivers: hosts that may be without one until a day, and why."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from core.model.things import split_thing
from server.inventory.key_pattern import KeyPattern
from server.inventory.retention import KeepTime
from server.inventory.vocabulary import Definition, Line, Name, Part, check_name

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def _read_day(value: object) -> object:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("expected a day like 2027-03-31")


def _check_set(text: str) -> str:
    host, _, name = text.partition("/")
    try:
        return f"{check_name(host)}/{check_name(name)}"
    except ValueError:
        raise ValueError("expected HOST/SET: the host whose agent runs the set, and the set's name") from None


def _check_thing(text: str) -> str:
    split_thing(text)
    return text


class HostBackup(Part):
    """How old a host's newest backup may be, and which sets of other hosts save it too.

    within: left out, a set's own schedule and a day on top. by: such as a virtual machine's set at its hypervisor.
    """

    within: KeepTime | None = None
    by: Annotated[tuple[Annotated[str, AfterValidator(_check_set)], ...], Field(max_length=100)] = ()


class WaiverDefinition(Definition):
    """Hosts, by name or group, that need no backup until the end of a day (UTC); or of their things only these.

    things: as `database:billing`, `filesystem:/srv`, `domain:web1`; a star stands for any letters.
    """

    kind: Literal["waiver"]
    hosts: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    groups: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    things: Annotated[tuple[Annotated[KeyPattern, AfterValidator(_check_thing)], ...], Field(max_length=1000)] = ()
    until: Annotated[date, BeforeValidator(_read_day)]
    reason: Line

    @model_validator(mode="after")
    def _check_some(self) -> Self:
        if not self.hosts and not self.groups:
            raise ValueError("expected at least one of `hosts` and `groups`")
        return self

    @property
    def ends_at(self) -> datetime:
        """The first instant it does not count any more."""
        return datetime(self.until.year, self.until.month, self.until.day, tzinfo=UTC) + timedelta(days=1)
