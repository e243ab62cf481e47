"""`bkp hold`: legal holds, which keep backups whatever retention says."""

from __future__ import annotations

import getpass
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from backup.command.instants import at_option, end_said
from backup.command.options import clearing, json_option, pruner_config_option, settings_of
from backup.command.reach import UNREAD, Reach, all_sets, chosen_sets, set_at_all_targets
from backup.command.sets_argument import sets_argument
from backup.command.shell.offers import sets_offered
from backup.command.telling import instant, local, write_json
from backup.errors import ConfigInvalid, HoldIncomplete, unnamed
from backup.model import Place, instant_name
from backup.notes.holds import (
    Hold,
    HoldRegister,
    add_hold,
    demand_pruner,
    holds_folder,
    lift_hold,
    read_holds,
    remove_hold,
)
from backup.spelling import shown
from backup.station.station import UNREACHED, open_station
from backup.targets.deleting import open_for_deleting
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from backup.errors import BackupError
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.targets.contract import Target
    from backup.when import When

_EPILOG = """\b
Examples:
  bkp hold add web1/files --at 2026-11-20 --name case-4711 --reason court
  bkp hold add web1/files --reason audit --until 2027-06-30    every chain
  bkp hold list
  bkp hold remove web1/files case-4711

Whoever may write at the target may set a hold: it only makes more stay. Only a pruner lifts one. Of a set at several
targets it is set at each; exit code 57: some lack it, and are named. The same once more, with its name, sets it there.
"""


@click.group("hold", epilog=_EPILOG)
def hold_group() -> None:
    """Keep backups from being deleted, whatever retention says."""


@hold_group.command()
@click.argument("set_name", metavar="HOST/SET", shell_complete=sets_offered)
@click.option("--reason", required=True, help="Why, for whoever finds it later.")
@click.option("--name", help="What the hold is called; else the instant it is set.")
@at_option("Only the chain of the restore point this means; else all.")
@click.option(
    "--until",
    metavar="WHEN",
    callback=end_said,
    help='When it ends by itself, such as "2027-06-30" or "in 2 years"; else when it is lifted.',
)
@json_option
@pruner_config_option
@clearing
def add(  # noqa: PLR0913 - one parameter an option
    *, config: Path | None, set_name: str, reason: str, name: str | None, at: When | None, until: datetime | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Set a hold on HOST/SET: on all of it, or on the chain that --at is restored from."""
    settings = settings_of(config)
    now = datetime.now(UTC)
    if until is not None and until <= now:
        raise click.UsageError("--until lies in the past: such a hold would hold nothing")
    chosen = set_at_all_targets(settings, set_name)
    place = Place(host=settings.host_of(chosen), set=chosen.name)
    _demand_known(settings, chosen, place)
    wanted = Hold(
        name=name or f"hold-{instant_name(now)}",
        chain=None if at is None else _chain(settings, chosen, at),
        reason=reason,
        by=f"{getpass.getuser()} at {settings.host}",
        set_at=now,
        until=until,
    )
    with ExitStack() as stack:
        targets = [stack.enter_context(open_target(settings.find_target(each))) for each in chosen.targets]
        added = add_hold(targets, place, wanted, _register(settings))
    hold, label = added.hold, f"{place.host}/{place.set}"
    if as_json:
        missing = [{"target": at, "error": str(why), "exit_code": why.exit_code} for at, why in added.lacking.items()]
        write_json({"set": label, **_document(hold), "missing_at": missing})
        if added.lacking:
            raise SystemExit(HoldIncomplete.exit_code)
        return
    what = "every chain" if hold.chain is None else f"chain {hold.chain}"
    where = ""
    if added.lacking:
        where = f" at {', '.join(each for each in chosen.targets if each not in added.lacking)}"
    end = "" if until is None else f" until {local(until)}"
    click.echo(f"Hold {hold.name}: from now on {what} of {label} stays{where}{end}.")
    if added.lacking:
        raise HoldIncomplete(_said_lacking(hold, label, added.lacking))


def _demand_known(settings: BackupSettings, chosen: SetSettings, place: Place) -> None:
    """Return when a set is configured, or anything of it lies at its target. Raises ConfigInvalid naming those there.

    A hold on a mistyped name would be believed, and hold nothing.
    """
    if settings.has_set(chosen):
        return
    with open_target(settings.find_target(chosen.target)) as target:
        if set(target.folders(f"{place.host}/{place.set}")) - {holds_folder(place).rpartition("/")[2]}:
            return
    reach = all_sets(settings)
    there = ", ".join(reach.label(each) for each in reach.sets) or "none"
    raise ConfigInvalid(
        f"there is nothing of {place.host}/{place.set} at target {chosen.target!r}, so a hold would hold nothing. Sets"
        f" there are: {there}. To hold one before its first run, name it in the configuration"
    )


def _chain(settings: BackupSettings, chosen: SetSettings, at: When) -> str:
    with open_station(settings, chosen) as opened:
        return opened.points().chosen(at).manifest.chain


def _said_lacking(hold: Hold, label: str, lacking: Mapping[str, BackupError]) -> str:
    told = "; ".join(f"target {name!r}: {unnamed(name, error)}" for name, error in lacking.items())
    return (
        f"the hold {hold.name} of {label} is not set at {told}. A prune that cannot see it elsewhere deletes there: say"
        f" the same once more with --name {hold.name} when it is back"
    )


@hold_group.command()
@click.argument("set_name", metavar="HOST/SET", shell_complete=sets_offered)
@click.argument("name")
@json_option
@pruner_config_option
@clearing
def remove(*, config: Path | None, set_name: str, name: str, as_json: bool) -> None:
    """Lift the hold NAME of HOST/SET; only a pruner can."""
    settings = settings_of(config)
    register = demand_pruner(_register(settings))
    chosen = set_at_all_targets(settings, set_name)
    place = Place(host=settings.host_of(chosen), set=chosen.name)
    for number, target_name in enumerate(reversed(chosen.targets)):
        with open_for_deleting(settings.find_target(target_name)) as target:
            if number + 1 < len(chosen.targets):
                remove_hold(target, place, name)  # the register's is struck with the last
            else:
                lift_hold(target, place, name, register)
    if as_json:
        write_json({"set": set_name, "lifted": name})
        return
    click.echo(f"Hold {shown(name)} of {set_name} is lifted: the next prune may delete what only it kept.")


@hold_group.command("list")
@sets_argument
@json_option
@pruner_config_option
@clearing
def list_command(*, config: Path | None, names: tuple[str, ...], as_json: bool) -> None:
    """List the holds of SETS (HOST/SET), or of every set at the targets when none is named."""
    settings = settings_of(config)
    rows: list[tuple[str, Hold]] = []
    if names:
        found = [set_at_all_targets(settings, name) for name in names]
        reach = Reach(
            settings=settings, sets=list({(settings.host_of(each), each.name): each for each in found}.values())
        )
    else:
        reach = chosen_sets(settings)
    for chosen in reach.sets:
        label = reach.label(chosen)
        try:
            rows += [(label, hold) for hold in _holds(reach, chosen)]
        except UNREAD as error:
            if len(names) == 1:
                raise
            reach.note(label, error)
    if as_json:
        holds = [{"set": label, **_document(hold)} for label, hold in rows]
        write_json({"holds": holds, "unread": reach.documents()})
    else:
        _tell(rows)
        reach.tell()
    reach.end()


def _holds(reach: Reach, chosen: SetSettings) -> list[Hold]:
    """Return the holds at all targets of a set that answer; the others are noted. Raises what the only one raised."""
    settings = reach.settings
    place = Place(host=settings.host_of(chosen), set=chosen.name)
    with ExitStack() as stack:
        there: list[Target] = []
        for name in chosen.targets:
            if name not in reach.away:
                target = stack.enter_context(open_target(settings.find_target(name)))
                try:
                    read_holds([target], place, None)
                except UNREACHED as error:
                    if not chosen.also:
                        raise
                    reach.away[name] = error
                else:
                    there.append(target)
        if not there:
            raise reach.away[chosen.target]
        return read_holds(there, place, _register(settings))


def _tell(rows: list[tuple[str, Hold]]) -> None:
    for label, hold in rows:
        until = "until it is lifted" if hold.until is None else f"until {local(hold.until)}"
        what = "every chain" if hold.chain is None else f"chain {hold.chain}"
        click.echo(f"{label}  {shown(hold.name)}")  # what `bkp hold remove` needs
        click.echo(f"    {what}, {until}; set {local(hold.set_at)} by {shown(hold.by)}: {shown(hold.reason)}")
    if not rows:
        click.echo("There is no hold.")
    for label, hold in rows:
        if hold.trouble:
            click.echo(f"bkp: {label}: hold {shown(hold.name)}: {hold.trouble}", err=True)


def _register(settings: BackupSettings) -> HoldRegister | None:
    return None if settings.pruner is None else HoldRegister(settings.work)


def _document(hold: Hold) -> dict[str, Any]:
    return {
        "hold": hold.name,
        "chain": hold.chain,
        "reason": hold.reason,
        "by": hold.by,
        "set_at": instant(hold.set_at),
        "until": instant(hold.until),
        "trouble": hold.trouble,
    }
