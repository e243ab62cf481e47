"""How long items are kept, as a template or a host says it: a rule for the items whose key fits."""

import re
from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from server.inventory.key_pattern import KeyPattern
from server.inventory.vocabulary import Part, read_interval, write_interval

_LONG: Final = re.compile(r"(\d+) ?([wy])")
_DAYS: Final = {"w": 7, "y": 365}
_SHORTEST: Final = timedelta(hours=1)
_LONGEST: Final = timedelta(days=50 * 365)


def _read_long(value: object) -> object:
    found = _LONG.fullmatch(value) if isinstance(value, str) else None
    if found is not None and len(found[1]) <= 6:
        return timedelta(days=int(found[1]) * _DAYS[found[2]])
    try:
        return read_interval(value)
    except ValueError:
        raise ValueError('expected a duration like "12h", "90d", "4w" or "5y"') from None


def _check_long(found: timedelta) -> timedelta:
    if not _SHORTEST <= found <= _LONGEST:
        raise ValueError("expected a duration from 1h to 50y")
    return found


KeepTime = Annotated[
    timedelta,
    BeforeValidator(_read_long),
    AfterValidator(_check_long),
    PlainSerializer(write_interval, return_type=str),
]


class RetentionRule(Part):
    """How long items whose key fits `items` are kept; what a rule does not say, the next one that fits does."""

    items: KeyPattern = "*"
    history: KeepTime | None = None
    samples: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    trends: KeepTime | None = None

    @model_validator(mode="after")
    def _check_some(self) -> Self:
        if self.history is None and self.samples is None and self.trends is None:
            raise ValueError("expected at least one of `history`, `samples` and `trends`")
        return self
