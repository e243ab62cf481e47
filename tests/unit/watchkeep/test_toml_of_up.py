"""What a user added to a file that `watchkeep up` writes comes back as it was, whatever TOML it is."""

from __future__ import annotations

import tomllib

import pytest

from watchkeep.up.layout import toml


@pytest.mark.parametrize(
    "text",
    [
        "[section]\na = 1\n[section.deeper]\nb = [true, 'x']\n",
        "[[commands]]\nname = 'a'\nenvironment = { LANG = 'C', 'odd key' = '\"' }\n",
        "'odd key' = 1\nat = 2026-11-30T04:00:00Z\nday = 2026-11-30\nhour = 04:30:00\n",
        "a = inf\nb = -inf\nc = [[1, 2], [{ d = 1 }]]\nmixed = [1, { e = 2 }]\nempty = []\nnone = {}\n",
    ],
)
def test_any_setting_stays_what_it_is(text: str) -> None:
    settings = tomllib.loads(text)
    assert tomllib.loads(toml(settings)) == settings
