"""`bkp hold`: no hold on what is not there, and names that can be typed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backup.command.__main__ import cli
from tests.support.backup_toml import SMALLEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def hold(tmp_path: Path) -> Callable[..., Result]:
    """Run `bkp hold` where web1/files is configured and db1/old lies at the target, but for a hold alone web2/x."""
    (tmp_path / "backup.toml").write_text(SMALLEST)
    for name in ("db1/old/points", "web2/x/holds"):
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "store" / name / "some.json").touch()
    return lambda *words: CliRunner().invoke(cli, ["hold", *words, "--config", str(tmp_path / "backup.toml")])


@pytest.mark.parametrize("label", ["web9/nosuch", "web1/flies", "web2/x"])
def test_a_hold_on_a_set_that_is_not_there_is_refused_with_those_that_are(
    hold: Callable[..., Result], tmp_path: Path, label: str
) -> None:
    refused = hold("add", label, "--reason", "x", "--name", "case")
    assert refused.exit_code == 3
    assert "Sets there are: db1/old, web1/files" in refused.stderr
    assert not (tmp_path / "store" / label / "holds/case.json").exists()


@pytest.mark.parametrize("label", ["db1/old", "web1/files", "files"])
def test_a_set_that_is_configured_or_lies_there_is_held(hold: Callable[..., Result], label: str) -> None:
    assert hold("add", label, "--reason", "x").exit_code == 0


def test_a_set_that_is_not_configured_is_held_and_let_go_at_every_target_it_lies_at(
    hold: Callable[..., Result], tmp_path: Path
) -> None:
    config = tmp_path / "backup.toml"
    more = '[[targets]]\nname = "far"\nkind = "folder"\nfolder = "far"\n\n[pruner]\nkeys = "keys/pruner"\n'
    config.write_text(config.read_text() + more)
    (tmp_path / "far/db1/old/points").mkdir(parents=True)
    (tmp_path / "far/db1/old/points/some.json").touch()
    held = hold("add", "db1/old", "--reason", "court", "--name", "case")
    assert held.exit_code == 0, held.stderr
    assert len([*tmp_path.glob("*/db1/old/holds/case*")]) == 2
    assert "court" in hold("list", "db1/old").output
    lifted = hold("remove", "db1/old", "case")
    assert lifted.exit_code == 0, lifted.stderr
    assert not [*tmp_path.glob("*/db1/old/holds/case*")]
    absent = hold("add", "db1/odl", "--reason", "court")
    assert (absent.exit_code, "db1/old, web1/files" in absent.stderr) == (3, True), absent.stderr


def test_a_list_shows_names_whole_and_what_is_in_force_until_when(hold: Callable[..., Result]) -> None:
    names = [f"{'a-long-name-' * 5}{number}" for number in (1, 2)]
    for name in names:
        hold("add", "files", "--reason", "a reason that takes some room on the line", "--name", name)
    shown = hold("list", "files").output
    assert all(name in shown for name in names)
    assert shown.count("until it is lifted") == 2
