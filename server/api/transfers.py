"""How many exports and imports may run at once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from server.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TRANSFERS: Final = 4


@dataclass(slots=True)
class Transfers:
    """How many exports and imports run: each holds some ten megabytes and a thread."""

    running: int = 0

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one while it runs. Raises ApiError 503 when there are too many."""
        if self.running >= MAX_TRANSFERS:
            raise ApiError(
                503,
                "too_many_transfers",
                f"{MAX_TRANSFERS} exports and imports are running already.",
                remedy="Wait until one of them has ended.",
                headers={"Retry-After": "30"},
            )
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
