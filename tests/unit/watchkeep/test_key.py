"""Keys on the command line: any letters a public key may have, dashes in front included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from core.security.keys import key_text
from watchkeep.key import key_group

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("first", ["-", "--"])
@pytest.mark.parametrize("command", [["revoke"], ["allow", "--role=proxy", "--name=x"]], ids=["revoke", "allow"])
def test_a_key_that_begins_with_a_dash_is_taken_as_a_key(tmp_path: Path, first: str, command: list[str]) -> None:
    key = first + key_text(bytes(32))[len(first) :]
    done = CliRunner().invoke(key_group, [*command, "--data", str(tmp_path), key])
    assert "no installation in" in done.output, "the key was accepted; only the installation is missing"


def test_a_key_with_letters_missing_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(key_group, ["revoke", "--data", str(tmp_path), "short"])
    assert done.exit_code == 2
    assert "this is not a public key" in done.output
