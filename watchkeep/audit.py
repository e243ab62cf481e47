"""`watchkeep audit`: who did what, and whether the log is still what was written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from server.store.audit import AuditFilter, read_audit, verify_audit
from watchkeep.at_database import command_database, run_at_database
from watchkeep.command_options import data_option, fail, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.audit import AuditEntry, ChainVerdict

_EPILOG = """\b
Examples:
  watchkeep audit --actor anna
  watchkeep audit --action account --json
  watchkeep audit --verify
"""


@click.command("audit", epilog=_EPILOG)
@click.option("--actor", help="Only what this user did.")
@click.option("--action", help='Only this action, or all of a kind: "account", "token", "session".')
@click.option("--object", "object_", help="Only what was done to something with this text in its name.")
@click.option("--before", type=int, help="Only entries older than this id.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@click.option("--verify", is_flag=True, help="Instead, compute the chain of all entries anew; exit code 1 when broken.")
@click.option("--head", "known_head", default="", help="With --verify: a head printed earlier, which has to be in it.")
@json_option
@data_option
def audit_command(  # noqa: PLR0913 - the options of the command, by name
    *,
    actor: str | None,
    action: str | None,
    object_: str | None,
    before: int | None,
    limit: int,
    verify: bool,
    known_head: str,
    as_json: bool,
    data: Path | None,
) -> None:
    """Show who did what, newest first.

    With --verify, say whether every entry is as it was written: each carries a SHA-256 over itself and the one before.
    Keep the printed head elsewhere: whoever can write to the database can also write the whole chain anew, and only an
    old head shows that.
    """
    if known_head and not verify:
        raise click.UsageError("--head goes with --verify")
    if verify:
        _tell(run_at_database(_verify(known_head.lower(), data), as_json=as_json), as_json=as_json)
        return
    if before is not None and before < 1:
        fail("--before takes an id of 1 or more", as_json=as_json)
    wanted = AuditFilter(before_id=before, actor=actor, action=action, object=object_, limit=limit)
    entries: list[AuditEntry] = run_at_database(_read(wanted, data), as_json=as_json)
    if as_json:
        click.echo(json.dumps({"entries": [_plain(entry) for entry in entries]}))
        return
    for entry in entries:
        whence = f" from {entry.address}" if entry.address else ""
        click.echo(f"{entry.at:%Y-%m-%d %H:%M:%S} UTC  {entry.actor or '-'}  {entry.action}  {entry.object}{whence}")


def _tell(verdict: ChainVerdict, *, as_json: bool) -> None:
    is_whole = verdict.broken_id is None
    if as_json:
        click.echo(
            json.dumps(
                {
                    "is_whole": is_whole,
                    "rows": verdict.rows,
                    "head": verdict.head,
                    "broken_id": verdict.broken_id,
                    "reason": verdict.reason,
                }
            )
        )
    elif is_whole:
        click.echo(f"{verdict.rows} entries, each as it was written; head {verdict.head}")
    elif verdict.broken_id == 0:
        click.echo(f"{verdict.rows} entries, written anew: {verdict.reason}")
    else:
        click.echo(f"broken at entry {verdict.broken_id}: {verdict.reason}; the {verdict.rows} before it are right")
    if not is_whole:
        raise SystemExit(1)


def _plain(entry: AuditEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "object": entry.object,
        "address": entry.address,
        "detail": entry.detail,
    }


async def _read(wanted: AuditFilter, data: Path | None) -> list[AuditEntry]:
    async with command_database(data, "audit") as database, database.connection() as connection:
        return await read_audit(connection, wanted)


async def _verify(known_head: str, data: Path | None) -> ChainVerdict:
    async with (
        command_database(data, "audit") as database,
        database.connection(600.0) as connection,
        connection.transaction(),
    ):
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return await verify_audit(connection, known_head)
