"""`bkp prune`: says of each chain whether it stays and why, and deletes what retention lets go."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from backup.command.options import end_with, ending, json_option, pruner_config_option, settings_of
from backup.command.prune_telling import LOGS_GO, logs_going, show_plan
from backup.command.sets_argument import sets_argument
from backup.command.telling import instant, progress, size
from backup.engine.progress import Progress
from backup.errors import BackupError, Cancelled, ConfigInvalid, worst
from backup.pruning.plan import Pruned
from backup.pruning.prune import open_pruned
from backup.runtime.durable import write_state
from backup.runtime.signals import cancelled_by_signals
from backup.settings.backup_set import SetSettings
from backup.settings.checks import check_name
from backup.targets.registry import open_target
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backup.pruning.plan import Plan
    from backup.pruning.prune import PrunedSet
    from backup.settings.document import BackupSettings

_EPILOG = """\b
Examples:
  bkp prune --dry-run       what would go, what stays, of every set, and why
  bkp prune web1/files      the same for one set, then asks, then deletes
  bkp prune --yes --json    for scripts: a line a chain, a set, and for all

Needs a pruner's configuration: [pruner] with its rules, credentials that may delete, the hosts' public keys, no secret
key. Killed at any point it leaves no restore point that cannot be restored; run again it finishes.
A set is judged as of when its newest restore point was finished, lest a clock that is ahead end holds.

Exit codes: 0 done (also when nothing had to go, or you said no), 17 a secret key is here that must not be, 42 another
prune is at work; when a set fails the others are done, and the code is that of the worst failure.
"""


@click.command("prune", epilog=_EPILOG)
@sets_argument
@click.option("--dry-run", is_flag=True, help="Say everything, delete nothing.")
@click.option("-y", "--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.option(
    "--trust-clock",
    is_flag=True,
    help="Judge as of now by this machine's clock: where nothing can be saved any more, as on a full target.",
)
@json_option
@pruner_config_option
@ending
def prune_command(
    *, config: Path | None, names: tuple[str, ...], dry_run: bool, is_sure: bool, trust_clock: bool, as_json: bool
) -> None:
    """Delete the chains of SETS (HOST/SET; every one, when none is named) that no rule of retention wants any more."""
    settings = settings_of(config)
    settings.demand_pruner()
    pruning = _Pruning(settings, is_dry=dry_run, is_clock_trusted=trust_clock, as_json=as_json)
    try:
        with cancelled_by_signals():
            chosen = pruning.find(names)
            plans = [(each, plan) for each in chosen if (plan := pruning.look(each)) is not None]
            going = [(each, plan) for each, plan in plans if not plan.is_idle]
            if going and not dry_run and _is_wanted([plan for _, plan in going], is_sure=is_sure, as_json=as_json):
                for each, plan in going:
                    pruning.carry_out(each, plan, is_fresh=is_sure)
    except BackupError as error:
        pruning.fail("prune", error)
    pruning.end()


def _is_wanted(plans: Sequence[Plan], *, is_sure: bool, as_json: bool) -> bool:
    """Ask on a terminal. Raises click.UsageError where nobody can answer."""
    if is_sure:
        return True
    if as_json or not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked: say --yes to delete, or --dry-run to look")
    count = sum(1 for plan in plans for each in plan.verdicts if each.goes)
    freed = size(sum(plan.bytes_going for plan in plans))
    return click.confirm(f"Delete {counted(count, 'chain')}, {freed}? They cannot be restored afterwards.")


class _Pruning:
    """One call of the command: what is told, what failed, what was done."""

    def __init__(self, settings: BackupSettings, *, is_dry: bool, is_clock_trusted: bool, as_json: bool) -> None:
        self._settings, self._is_dry, self._as_json = settings, is_dry, as_json
        self._is_clock_trusted = is_clock_trusted
        self._failed: dict[str, BackupError] = {}
        self._done = Pruned()
        self._sets = self._staying = self._going = self._going_bytes = 0

    def find(self, names: Sequence[str]) -> list[SetSettings]:
        """Return the sets that lie at the targets, by target; only those named. A target that fails is told.

        `also` are the set's other targets: those of the configuration, of sets that are not in it those it lies at.
        """
        wanted = {self._full_name(name) for name in names}
        configured = {(self._settings.host_of(each), each.name): each for each in self._settings.sets}
        places = {key: [*each.targets] for key, each in configured.items()}
        there: list[tuple[str, tuple[str, str]]] = []
        for target in self._settings.targets:
            try:
                with open_target(target) as opened:
                    opened.reach()
                    there += [
                        (target.name, (host, name))
                        for host in opened.folders("")
                        if check_name(host) is None
                        for name in opened.folders(host)
                        if check_name(name) is None and {"points", "chains"} & set(opened.folders(f"{host}/{name}"))
                    ]
            except Cancelled:
                raise
            except BackupError as error:
                self.fail(f"target {target.name}", error)
        for place, key in there:
            places.setdefault(key, []).append(place)
        found: list[SetSettings] = []
        for place, (host, name) in there:
            if not wanted or f"{host}/{name}" in wanted:
                known = configured.get((host, name))
                plain = SetSettings(name=name, host=host, target=place)
                others = tuple(other for other in dict.fromkeys(places[host, name]) if other != place)
                chosen = known if known is not None and place in known.targets else plain
                found.append(replace(chosen, target=place, also=others))
        lost = wanted - {f"{self._settings.host_of(each)}/{each.name}" for each in found}
        if lost and not self._failed:
            raise ConfigInvalid(f"there is no set {min(lost)!r} at any target: bkp list shows them")
        return found

    def look(self, chosen: SetSettings) -> Plan | None:
        """Plan one set and tell it; None when that failed."""
        label = self._label(chosen)
        try:
            with open_pruned(self._settings, chosen) as opened:
                plan = self._plan(opened)
        except Cancelled:
            raise
        except BackupError as error:
            self.fail(label, error)
            return None
        self._sets += 1
        self._going += sum(1 for each in plan.verdicts if each.goes)
        self._staying += sum(1 for each in plan.verdicts if not each.goes)
        self._going_bytes += plan.bytes_going
        (self._write_plan if self._as_json else show_plan)(label, plan)
        return plan

    def _plan(self, opened: PrunedSet) -> Plan:
        now = datetime.now(UTC)
        return opened.plan(now, now if self._is_clock_trusted else None)

    def carry_out(self, chosen: SetSettings, shown: Plan, *, is_fresh: bool) -> None:
        """Delete what was shown. After a question everything is looked at anew: only what still goes does."""
        label = self._label(chosen)
        try:
            with (
                open_pruned(self._settings, chosen) as opened,
                progress(f"deleting of {label}", is_shown=not self._as_json) as tell,
            ):
                plan = shown if is_fresh else _both(shown, self._plan(opened))
                total, gone = plan.bytes_going, 0

                def count(freed: int) -> None:
                    nonlocal gone
                    gone += freed
                    tell(Progress(phase="deleting", stored_bytes=gone, share=min(1.0, gone / total) if total else None))

                done = opened.carry_out(plan, count)
        except Cancelled:
            raise
        except BackupError as error:
            self.fail(label, error)
            return
        self._done.chains += done.chains
        self._done.strays += done.strays
        self._done.wal += done.wal
        self._done.binlog += done.binlog
        self._done.freed_bytes += done.freed_bytes
        self._done.kept_back += done.kept_back
        if self._as_json:
            self._line("pruned", label, deleted=done.chains, strays=done.strays, wal=done.wal,
                       binlog=done.binlog, freed_bytes=done.freed_bytes, kept_back=done.kept_back)  # fmt: skip
            return
        click.echo(f"{label}: {counted(len(done.chains), 'chain')} deleted, {size(done.freed_bytes)} freed")
        for each in done.kept_back:
            click.echo(f"  stays for now, {each}")

    def fail(self, label: str, error: BackupError) -> None:
        """Tell what stood in the way; the worst failure's code is the command's."""
        self._failed[label] = error
        if self._as_json:
            told = {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
            self._line("failed", label, error=told)
        else:
            click.echo(f"bkp: {label}: {error}", err=True)

    def end(self) -> None:
        """Tell the sum, write it down for the items, end with the worst failure's code."""
        code = worst(error.exit_code for error in self._failed.values())
        failure = next((error for error in self._failed.values() if error.exit_code == code), None)
        table = {
            "form": "watchkeep-prune-state-1",
            "written_at": instant(datetime.now(UTC)),
            "dry_run": self._is_dry,
            "sets": self._sets,
            "chains_staying": self._staying,
            "chains_going": self._going,
            "bytes_going": self._going_bytes,
            "chains_deleted": len(self._done.chains),
            "strays_deleted": self._done.strays,
            "wal_deleted": self._done.wal,
            "binlog_deleted": self._done.binlog,
            "freed_bytes": self._done.freed_bytes,
            "failed": sorted(self._failed),
            "error": None if failure is None else str(failure),
            "exit_code": code,
        }
        if not self._is_dry:
            try:
                write_state(self._settings.state, "prune", table)
            except BackupError as error:
                end_with(error, as_json=self._as_json)
        if self._as_json:
            click.echo(json.dumps({"event": "end", **table}))
        elif not self._is_dry and not self._going_bytes and failure is None:
            click.echo("Nothing had to go.")
        elif self._is_dry:
            click.echo(f"Nothing was deleted: {counted(self._going, 'chain')} would go, {size(self._going_bytes)}.")
        if code:
            raise SystemExit(code)

    def _write_plan(self, label: str, plan: Plan) -> None:
        for each in plan.verdicts:
            chain = each.chain
            self._line(
                "chain", label, target=plan.target, chain=chain.name, verdict="goes" if each.goes else "stays",
                reason=each.reason, bytes=chain.size_bytes, points=[instant(point.at) for point in chain.points],
                restorable=len(chain.restorable), as_of=instant(plan.as_of),
            )  # fmt: skip
        for begun in plan.unfinished:
            self._line("unfinished", label, target=plan.target, chain=begun.left.chain, bytes=begun.left.size_bytes,
                       verdict="goes" if begun.waits is None else "stays", reason=begun.waits)  # fmt: skip
        for stray in plan.strays:
            self._line(
                "strays", label, target=plan.target, chain=stray.stray.chain, run=instant(stray.stray.at),
                files=sorted(stray.stray.files), bytes=stray.stray.size_bytes,
                verdict="goes" if stray.goes else "stays", reason=stray.reason,
            )  # fmt: skip
        for kind, logs in logs_going(plan):
            self._line(kind, label, target=plan.target, files=len(logs), bytes=sum(logs), verdict="goes",
                       reason=LOGS_GO[kind][1])  # fmt: skip
        for note in plan.notes:
            self._line("note", label, target=plan.target, text=note)

    def _line(self, event: str, label: str, **told: Any) -> None:
        click.echo(json.dumps({"event": event, "set": label, **told}))

    def _full_name(self, name: str) -> str:
        if "/" in name:
            return name
        return f"{self._settings.host_of(self._settings.find_set(name))}/{name}"

    def _label(self, chosen: SetSettings) -> str:
        return f"{self._settings.host_of(chosen)}/{chosen.name}"


def _both(shown: Plan, fresh: Plan) -> Plan:
    """Return the fresh plan, less what was not shown as going."""
    chains = {each.chain.name for each in shown.verdicts if each.goes}
    runs = {(each.stray.chain, each.stray.at) for each in shown.strays if each.goes}
    return replace(
        fresh,
        verdicts=tuple(each for each in fresh.verdicts if each.chain.name in chains),
        strays=tuple(each for each in fresh.strays if (each.stray.chain, each.stray.at) in runs),
        logs={name: size_bytes for name, size_bytes in fresh.logs.items() if name in shown.logs},
    )
