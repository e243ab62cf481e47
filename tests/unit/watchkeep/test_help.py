"""What `--help` of every command of `bkp` and `watchkeep` looks like on a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
import pytest

from backup.command.__main__ import cli as bkp
from watchkeep.__main__ import cli as watchkeep

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS: Final = 80


def commands(command: click.Command, path: str, parent: click.Context | None = None) -> Iterator[tuple[str, str, bool]]:
    """Yield the path, the help and whether it is a group, of a command and all below it."""
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent, terminal_width=COLUMNS)
    yield path, command.get_help(context), isinstance(command, click.Group)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}", context)


HELP: Final = [*commands(bkp, "bkp"), *commands(watchkeep, "watchkeep")]


@pytest.mark.parametrize(("path", "text"), [(path, text) for path, text, _ in HELP], ids=[path for path, _, _ in HELP])
def test_every_line_fits(path: str, text: str) -> None:
    assert path in text
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []


@pytest.mark.parametrize("path", [path for path, _, is_group in HELP if is_group])
def test_every_group_has_examples_of_its_own_commands(path: str) -> None:
    (text,) = [text for each, text, _ in HELP if each == path]
    examples = text.partition("Examples")[2]
    assert f"\n    {path} " in examples
