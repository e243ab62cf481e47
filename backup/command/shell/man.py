"""`bkp man`: the manual page, made of the same texts as --help."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import click

from backup.errors import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

_EPILOG = """\b
Examples:
  bkp man                                    read it here
  bkp man > ~/.local/share/man/man1/bkp.1    for `man bkp`
"""
_ABOUT: Final = """
Saves files, databases and virtual machines with duplicity, encrypted to a restore station's key and signed by the host,
and brings them back. It needs no server and no database: a restore needs the target and the station's key only.
"""
_FILES: Final = (
    ("backup.toml, ~/.config/watchkeep/backup.toml, /etc/watchkeep/backup.toml", "the configuration, in this order"),
    ("FOLDER, FOLDER.passphrase", "a key folder and the file whose first line opens its secret"),
    ("state/SET.json", "how the last run of a set went"),
)
_ENVIRONMENT: Final = (
    ("BKP_CONFIG", "the configuration, before any place it is looked for"),
    ("WATCHKEEP_DATA", "the data folder of a `watchkeep up`, whose configurations are looked for last"),
)


@click.command("man", epilog=_EPILOG)
@click.pass_context
def man(ctx: click.Context) -> None:
    """Show the manual page; where the output is no terminal, write it as troff's man macros have it."""
    page = "\n".join(_page(ctx.find_root())) + "\n"
    reader = shutil.which("man")
    if sys.stdout.isatty() and reader is not None:
        raise SystemExit(subprocess.run([reader, "--local-file", "-"], input=page.encode(), check=False).returncode)
    if sys.stdout.isatty():
        click.echo("bkp: there is no `man` here; this is the page as troff has it", err=True)
    click.echo(page, nl=False)


def _page(root: click.Context) -> Iterator[str]:
    yield f'.TH BKP 1 "" "Watchkeep {version("watchkeep")}" "Watchkeep"'
    yield from (".SH NAME", r"bkp \- encrypted, signed backups that restore without a server")
    yield from (".SH SYNOPSIS", ".B bkp", r".I COMMAND \fR[\fIOPTION\fR]... [\fIARGUMENT\fR]...")
    yield from (".SH DESCRIPTION", *_prose(_ABOUT))
    yield ".SH COMMANDS"
    yield from _commands(root, "bkp")
    for title, rows in (("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT)):
        yield f".SH {title}"
        yield from _rows(rows)
    yield ".SH EXIT STATUS"
    yield from _rows((str(code), meaning) for code, meaning in exit_codes().items())
    yield from (".SH SEE ALSO", ".BR duplicity (1), gpg (1)")


def _commands(context: click.Context, path: str) -> Iterator[str]:
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        within = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(within))
        yield f".SS {_text(f'{path} {name} {usage}')}"
        yield from _prose(command.help or "")
        yield from _rows(
            record
            for each in command.params
            if isinstance(each, click.Option) and (record := each.get_help_record(within)) is not None
        )
        if command.epilog:
            yield from _prose(command.epilog)
        yield from _commands(within, f"{path} {name}")


def _rows(rows: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[str]:
    for term, words in rows:
        yield from (".TP", f".B {_text(term)}", _text(words))


def _prose(text: str) -> Iterator[str]:
    r"""Yield paragraphs; one that click must not wrap (it begins with \b) keeps its lines here, too."""
    for paragraph in text.strip("\n").split("\n\n"):
        lines = paragraph.split("\n")
        is_kept = False
        yield ".PP"
        for line in lines:
            if line.strip() == "\b":
                if is_kept:
                    yield ".fi"
                    yield ".PP"
                yield ".nf"
                is_kept = True
            elif line.strip():
                yield _text(line if is_kept else line.strip())
        if is_kept:
            yield ".fi"


def _text(words: str) -> str:
    """Return words as troff takes them: no line is a request, nothing an escape, and dashes can be copied."""
    safe = (
        words.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga").replace("'", r"\(aq").replace("…", "...")
    )
    return rf"\&{safe}" if safe[:1] in (".", "'") else safe
