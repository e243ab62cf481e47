"""What is not kept is told of a path only where it is of that path."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest

from backup.sources.files.survey import LINKS, Survey, words_below

_NAMES = [b"/srv/a", b"/srv/data/one", b"/srv/odd\xff"]


@pytest.mark.parametrize(
    ("path", "is_told"),
    [("srv", True), ("srv/a", True), ("srv/data", True), ("srv/dat", False), ("data", False), ("etc", False)],
)
def test_names_of_other_paths_are_not_told(path: str, is_told: bool) -> None:
    survey = Survey()
    for name in _NAMES:
        survey.note(LINKS, name)
    assert bool(words_below(survey.words(), PurePosixPath(path))) is is_told


def test_odd_names_are_known_again_and_that_there_are_more_names_is_said_without_others_names() -> None:
    survey = Survey()
    survey.note(LINKS, _NAMES[2])
    assert words_below(survey.words(), PurePosixPath(os.fsdecode(b"srv/odd\xff"))) == survey.words()
    for name in _NAMES * 3:
        survey.note(LINKS, name)
    (line,) = words_below(survey.words(), PurePosixPath("etc"))
    assert "is not known" in line
    assert "/srv" not in line
