"""Options that several commands share, and the one way in which commands fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from watchkeep.installation import DATA_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorated = Callable[..., object]

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"The installation's folder; else {DATA_VARIABLE}, else ./var.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object, for programs.")


def fail(message: str, *, as_json: bool) -> NoReturn:
    """End with exit code 2, saying what is wrong on the standard error, or in `message` of a JSON object."""
    if as_json:
        click.echo(json.dumps({"message": message, "changes": [], "errors": []}, ensure_ascii=False))
    else:
        click.echo(f"watchkeep: {message}", err=True)
    raise SystemExit(2)
