"""The trials by name. A new one is a module with `run` and a line here; the short forms run with the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from tests.trials import (
    api,
    backlog,
    backups,
    balance,
    clocks,
    fence,
    identity,
    kills,
    partitions,
    slowness,
    spools,
    takeovers,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.trials.finding import Finding


class Trial(Protocol):
    """Runs the short or the long form and says what it found."""

    __module__: str

    async def __call__(self, *, is_long: bool) -> list[Finding]: ...


TRIALS: Final[dict[str, Trial]] = {
    "kills": kills.run,
    "fence": fence.run,
    "identity": identity.run,
    "takeovers": takeovers.run,
    "backlog": backlog.run,
    "partitions": partitions.run,
    "clocks": clocks.run,
    "spools": spools.run,
    "slowness": slowness.run,
    "api": api.run,
    "balance": balance.run,
    "backups": backups.run,
}
