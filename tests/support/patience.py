"""How long a test may take that works with whole programs, real keys and browsers: it ends what hangs, no more.

A slow machine that does much besides takes many times as long for them as a quick one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TEST_SECONDS: Final = 1800


def give_time(items: list[pytest.Item], folder: Path) -> None:
    """Give the tests of a folder that long, but for those that say it themselves."""
    for item in items:
        if item.path.is_relative_to(folder) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
