"""Which duplicity is used: the one beside this Python, else the system's, when it speaks our command line."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from backup.engine import program
from backup.engine.program import find_program
from backup.errors import EngineFailed
from backup.installed import installed_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder of PATH, while nothing lies beside Python."""
    find_program.cache_clear()
    (tmp_path / "path").mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    yield tmp_path / "path"
    find_program.cache_clear()


def _write(path: Path, script: str) -> None:
    (path / "duplicity").write_text(f"#!/bin/sh\n{script}\n")
    (path / "duplicity").chmod(0o755)


def test_the_one_beside_python_comes_first() -> None:
    found = find_program()
    assert found.arguments[0] == sys.executable
    assert found.version.startswith("3.")


@pytest.mark.parametrize("name", ["duplicity", "watchkeep"])
def test_a_version_is_what_importlib_says(name: str) -> None:
    assert installed_version(name) == version(name)


def test_what_is_not_installed_has_no_version() -> None:
    assert installed_version("nothing") == "unknown"


def test_a_systems_own_is_used_where_none_lies_beside_python(path: Path) -> None:
    _write(path, "echo duplicity 3.1.0 July 12, 2025")
    assert find_program() == program.Program((str(path / "duplicity"),), "3.1.0")


def test_an_old_one_is_named_with_what_to_do_instead_of_failing_in_the_middle_of_a_run(path: Path) -> None:
    _write(path, "echo duplicity 0.8.22")
    with pytest.raises(
        EngineFailed, match=r"duplicity 0\.8\.22, which has another command line: pip install --no-deps"
    ):
        find_program()


def test_one_that_does_not_start_is_named(path: Path) -> None:
    _write(path, "echo no librsync >&2; exit 1")
    with pytest.raises(EngineFailed, match="exit code 1: no librsync"):
        find_program()


def test_none_at_all_is_told_with_the_command_that_brings_it(path: Path) -> None:
    assert not list(path.iterdir())
    with pytest.raises(EngineFailed, match="nor on PATH: pip install --no-deps duplicity"):
        find_program()
