"""`watchkeep tail`: shows values as they are stored, as one of any number of subscribers of the live feed."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from core.security.keys import KeyFault, read_public
from core.wire.curve import load_or_create
from core.wire.listener import FeedPlace, Listener, ListenerRefused
from watchkeep.command_options import data_option, fail, json_option
from watchkeep.installation import TAIL, data_folder
from watchkeep.running import config_option, run_until_signal, sample_option, settings_of
from watchkeep.tail_settings import TailSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from core.wire.feed_message import Told

_QUIET_SECONDS: Final = 30.0
_WILD: Final = re.compile(r"[*?]")
_EPILOG = """\b
Examples:
  watchkeep tail                             everything
  watchkeep tail db1                         everything of host db1
  watchkeep tail 'db1/cpu/*' '*/load/one'    patterns of HOST/PROBE/ITEM
  watchkeep tail db1 --json --count 100      a hundred lines, then the end
  watchkeep tail --sample > tail.toml        configuration for another machine

In a pattern, * is any letters and ? any letter. Values come after they were stored.
Who does not keep up misses some, and is told how many.
Exit codes: 0 ended by Ctrl-C, --count or --seconds, 1 this key may not listen, 2 wrong configuration.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to end by oneself: after so many values, after so many seconds."""

    values: int | None
    seconds: float | None


@click.command("tail", epilog=_EPILOG)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]…")
@click.option("--count", type=click.IntRange(min=1), help="End after so many values.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so long.")
@json_option
@config_option
@sample_option
@data_option
def tail_command(  # noqa: PLR0913 - the options of the command, by name
    patterns: tuple[str, ...],
    *,
    count: int | None,
    seconds: float | None,
    as_json: bool,
    config: Path | None,
    sample: bool,
    data: Path | None,
) -> None:  # fmt: skip
    """Show values as they are stored. PATTERN: a host, HOST/PROBE, HOST/PROBE/ITEM, or one with * and ?."""
    own = data_folder(data) / f"{TAIL}.toml"
    if config is None and not sample and not own.exists():
        fail(f"there is no {own}: start `watchkeep up`, name its --data, or give --config FILE", as_json=as_json)
    settings = settings_of(config or own, TailSettings, sample=sample)
    try:
        keys = load_or_create(settings.key_file)
    except (KeyFault, OSError) as error:
        fail(str(error), as_json=as_json)
    places = [FeedPlace(endpoint=feed.endpoint, key=read_public(feed.key)) for feed in settings.feeds]
    listener = Listener(keys, places, {prefix_of(pattern) for pattern in patterns or ("",)})
    try:
        run_until_signal(_show(listener, patterns, Limits(values=count, seconds=seconds), as_json=as_json))
    except ListenerRefused as error:
        click.echo(f"watchkeep: {error} (this one is {keys.public_text})", err=True)
        raise SystemExit(1) from error
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prefix_of(pattern: str) -> str:
    """Return what to subscribe to so that nothing a pattern means is left out."""
    return _WILD.split(pattern, maxsplit=1)[0]


def matcher_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return what the topics match that the patterns mean; without a pattern, all.

    A pattern without * and ? means the topic, and everything below it.
    """
    return re.compile("|".join(_expression(pattern) for pattern in patterns), re.DOTALL)


def _expression(pattern: str) -> str:
    if not _WILD.search(pattern):
        return f"{re.escape(pattern.rstrip('/'))}(/.*)?$"
    return "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in pattern) + "$"


async def _show(listener: Listener, patterns: Sequence[str], limits: Limits, *, as_json: bool) -> None:
    matcher = matcher_of(patterns)
    left = limits.values
    loop = asyncio.get_running_loop()
    end = None if limits.seconds is None else loop.time() + limits.seconds
    missed, is_quiet = 0, True
    async with listener:
        while (left is None or left > 0) and (end is None or loop.time() < end):
            try:
                async with asyncio.timeout_at(min(loop.time() + _QUIET_SECONDS, end or math.inf)):
                    told = await listener.next()
            except TimeoutError:
                if is_quiet and (end is None or loop.time() < end):
                    click.echo("# nothing came yet: is a server active, does anything match?", err=True)
                continue
            if not matcher.match(told.topic):
                continue
            is_quiet = False
            lines = _lines(told, as_json=as_json)[:left]
            click.echo("\n".join(lines))
            left = None if left is None else left - len(lines)
            if listener.missed != missed:
                click.echo(f"# {listener.missed - missed} values were missed", err=True)
                missed = listener.missed


def _lines(told: Told, *, as_json: bool) -> list[str]:
    values: Sequence[float | str] = told.values
    write = _json_text if as_json else _text
    shown = values if told.is_structured else map(write, values)
    line = _json_line if as_json else _line
    return [line(told.topic, at_us, text) for at_us, text in zip(told.instants, shown, strict=True)]


def _json_text(value: float | str) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) or math.isfinite(value) else "null"


def _text(value: float | str) -> str:
    return f"{value:.10g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _json_line(topic: str, at_us: int, text: object) -> str:
    return f'{{"topic": {json.dumps(topic, ensure_ascii=False)}, "at_us": {at_us}, "value": {text}}}'


def _line(topic: str, at_us: int, text: object) -> str:
    at = datetime.fromtimestamp(at_us / 1e6).astimezone().isoformat(timespec="milliseconds")[11:23]
    return f"{click.style(at, dim=True)}  {click.style(topic, fg='cyan')}  {text}"
