"""Deletes what retention lets go: whole chains, manifests first, so that nothing half deleted is a restore point.

The order, and what a kill in between leaves:
1. What is about to go is written down in the pruner's work folder.
2. The chain's manifests go, the full's first: with it none of its points can be restored any more, and all say so.
3. Marks are looked at again: whoever began to read before that is seen now, and the files stay until he has done.
4. The files go, then the note of step 1. Killed in between, the next run goes on from the note.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backup.binlog.outdated import outdated_logs
from backup.catalogue import read_catalogue
from backup.chain import files_of_chain
from backup.errors import ObjectMissing
from backup.model import Place, instant_name
from backup.notes.damage import clear_damage
from backup.notes.holds import HoldRegister, read_holds
from backup.notes.marks import clear_marks, read_marks
from backup.pruning.plan import Plan, Pruned, Unfinished
from backup.pruning.rights import demand_no_secret
from backup.pruning.stock import ChainFiles, Claims, take_stock
from backup.pruning.strays import judge_strays
from backup.pruning.unfinished import UnfinishedNotes
from backup.pruning.witness import said_unwitnessed, witnessed, witnessed_by_strays
from backup.retention import judge_chains
from backup.runtime.durable import hold_lock
from backup.spelling import shown
from backup.station.station import UNREACHED, ring_of
from backup.targets.deleting import open_for_deleting
from backup.targets.registry import open_target
from backup.wal.outdated import outdated_wal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from backup.catalogue import Catalogue
    from backup.keys.ring import KeyRing
    from backup.pruning.stock import Stock
    from backup.retention import Rules
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.targets.contract import DeletingTarget, Target


class PrunedSet:
    """A set at a target, opened by a pruner."""

    def __init__(
        self, settings: BackupSettings, chosen: SetSettings, ring: KeyRing, target: DeletingTarget,
        marks: DeletingTarget | None, others: Sequence[Target] = (),
    ) -> None:  # fmt: skip
        """`others`: the set's other targets, where holds on it may lie."""
        self._settings = settings
        self._pruner = settings.demand_pruner()
        self._chosen = chosen
        self._ring, self._target, self._marks, self._others = ring, target, marks, others
        self.place = Place(host=settings.host_of(chosen), set=chosen.name)
        self._notes = UnfinishedNotes(settings.work / "unfinished" / chosen.target / self.place.host / self.place.set)
        self._register = HoldRegister(settings.work)

    @property
    def rules(self) -> Rules:
        """What to keep of it: its own rules, or the pruner's."""
        return (self._chosen.retention or self._pruner.retention).rules

    def plan(self, now: datetime, as_of: datetime | None = None) -> Plan:
        """Look at everything and judge it as of a moment, else of its newest restore point. Deletes nothing.

        Raises KeyMissing when no key is known that signs for the host, and what target and marks raise: who cannot see
        whether somebody reads deletes nothing.
        """
        catalogue = read_catalogue(self._target, self.place, self._ring)
        as_of = as_of or witnessed(now, catalogue.points)
        claims = self._claims(as_of)
        stock = take_stock(self._target, self.place, catalogue, claims)
        unfinished = self._unfinished(stock, claims)
        begun = {each.left.chain: each.left.files.keys() for each in unfinished}
        strays = [each for each in stock.strays if each.files.keys() - begun.get(each.chain, set())]
        verdicts = tuple(
            each
            for each in judge_chains(stock.chains, self.rules, self._pruner.grace, as_of)
            if each.chain.name not in begun
        )
        going = {each.chain.name for each in verdicts if each.goes}
        return Plan(
            place=self.place,
            target=self._chosen.target,
            as_of=as_of,
            verdicts=verdicts,
            strays=tuple(
                judge_strays(strays, stock.chains, self._pruner.strays_after, witnessed_by_strays(now, as_of, strays))
            ),
            unfinished=unfinished,
            stock=stock,
            logs=self._outdated_logs(catalogue, going, as_of),
            notes=(
                *(each.why for each in catalogue.refused),
                *(f"hold {shown(each.name)}: {each.trouble}" for each in claims.holds if each.trouble),
                *(said_unwitnessed(each) for each in claims.holds if each.until and as_of <= each.until < now),
            ),
        )

    def carry_out(self, plan: Plan, on_file: Callable[[int], None] = lambda size: None) -> Pruned:  # noqa: ARG005 - nobody looks
        """Delete what a plan lets go. `on_file` hears the bytes of each file that is gone.

        Raises what target and marks raise; what is done by then is done, and the next run goes on.
        """
        done = Pruned()
        for chain in {each.chain for each in self._notes.read()} - {each.left.chain for each in plan.unfinished}:
            self._notes.remove(chain)  # it was noted and not begun: what befalls it later is not our doing
        for begun in plan.unfinished:
            if begun.waits is None and not self._is_kept_back(begun.left.chain, plan, done):
                self._delete(begun.left, plan, done, on_file)
        for verdict in plan.verdicts:
            if verdict.goes and not self._is_kept_back(verdict.chain.name, plan, done):
                going = plan.stock.files[verdict.chain.name]
                self._notes.write(going)
                self._delete(going, plan, done, on_file)
        for each in plan.strays:
            if each.goes and not self._has_manifest(each.stray.at):
                for name, size in each.stray.files.items():
                    self._remove(f"{self.place.chain(each.stray.chain)}/{name}", size, done, on_file)
                    done.strays += 1
        clear_damage(self._target, self.place)
        self._remove_logs(plan, done, on_file)
        if self._marks is not None:
            clear_marks(self._marks, self.place, datetime.now(UTC))
        return done

    def _delete(self, going: ChainFiles, plan: Plan, done: Pruned, on_file: Callable[[int], None]) -> None:
        for name, size in going.manifests.items():
            self._remove(f"{self.place.points}/{name}", size, done, on_file)
        if self._is_kept_back(going.chain, plan, done):
            return
        for name, size in going.files.items():
            self._remove(f"{self.place.chain(going.chain)}/{name}", size, done, on_file)
        self._notes.remove(going.chain)
        done.chains.append(going.chain)

    def _outdated_logs(self, catalogue: Catalogue, going: set[str], now: datetime) -> Mapping[str, int]:
        """Return archived logs that nothing needs once these chains are gone; none while a manifest is in doubt."""
        if catalogue.refused:
            return {}
        staying = [point.manifest for point in catalogue.points if point.manifest.chain not in going]
        where, settled_before = (self._target, self.place, self._ring), now - self._pruner.strays_after
        return {**outdated_wal(*where, staying, settled_before), **outdated_logs(*where, staying, settled_before)}

    def _remove_logs(self, plan: Plan, done: Pruned, on_file: Callable[[int], None]) -> None:
        """Delete the plan's logs, as far as nothing that is there now needs them: a chain may have been kept back."""
        if not plan.logs:
            return
        still = self._outdated_logs(read_catalogue(self._target, self.place, self._ring), set(), plan.as_of)
        for name, size in plan.logs.items():
            if name in still:
                self._remove(name, size, done, on_file)
                done.wal += name.startswith(f"{self.place.wal}/")
                done.binlog += name.startswith(f"{self.place.binlog}/")

    def _remove(self, name: str, size: int, done: Pruned, on_file: Callable[[int], None]) -> None:
        self._target.delete(name)
        done.freed_bytes += size
        on_file(size)

    def _is_kept_back(self, chain: str, plan: Plan, done: Pruned) -> bool:
        """Look anew whether somebody reads or holds a chain; tell it in `done`."""
        holds, uses = self._claims(plan.as_of).of(chain)
        if holds or uses:
            done.kept_back.append(f"{chain}: {(*holds, *uses)[0]}")
        return bool(holds or uses)

    def _claims(self, as_of: datetime) -> Claims:
        """Look who holds or reads. A hold at any target of the set counts: one that cannot be asked keeps all of it."""
        try:
            holds = read_holds([self._target, *self._others], self.place, self._register)
        except UNREACHED as error:
            if not self._others:
                raise
            names = ", ".join(each.name for each in self._others)
            raise type(error)(
                f"nothing of it goes while its holds cannot be seen at every target (it is at {names}, too): {error}"
            ) from error
        marks = [] if self._marks is None else read_marks(self._marks, self.place)
        return Claims(holds=holds, marks=marks, as_of=as_of, now=datetime.now(UTC))

    def _has_manifest(self, at: datetime | None) -> bool:
        """Whether a listing left out the manifest of a run: it is asked for by name before the run's files go."""
        if at is None:
            return False
        try:
            self._target.stat(f"{self.place.points}/{instant_name(at)}.json.asc")
        except ObjectMissing:
            return False
        return True

    def _unfinished(self, stock: Stock, claims: Claims) -> tuple[Unfinished, ...]:
        """Return what earlier runs began to delete; a chain that has all its manifests was not begun."""
        found: list[Unfinished] = []
        listed = self._target.files(self.place.points)
        for begun in self._notes.read():
            known = stock.files.get(begun.chain)
            if known is not None and begun.manifests.keys() <= known.manifests.keys():
                continue
            there = files_of_chain(self._target, self.place, begun.chain)
            left = ChainFiles(
                chain=begun.chain,
                manifests={name: size for name, size in begun.manifests.items() if name in listed},
                # Also those that are gone: the folder of the last one may be left, and goes with any name in it.
                files={name: size if name in there else 0 for name, size in begun.files.items()},
            )
            holds, uses = claims.of(begun.chain)
            waits = [*(f"held: {each}" for each in holds), *(f"in use: {each}" for each in uses)]
            found.append(Unfinished(left=left, waits=waits[0] if waits else None))
        return tuple(found)


@contextmanager
def open_pruned(settings: BackupSettings, chosen: SetSettings) -> Iterator[PrunedSet]:
    """Open a set for pruning at its first target, one at a time in a work folder; at the others holds on it may lie.

    Raises SetBusy, ConfigInvalid, KeyMissing, KeyForbidden; talks to the place of marks, to no target yet.
    """
    settings.demand_pruner()
    with ring_of(settings) as ring:
        demand_no_secret(ring, settings.keys.host)
        with (
            hold_lock(settings.work / "prune.lock", "the pruner's work folder"),
            open_for_deleting(settings.find_target(chosen.target)) as target,
            ExitStack() as stack,
        ):
            others = [stack.enter_context(open_target(settings.find_target(name))) for name in chosen.also]
            marks = None
            if settings.marks is not None:
                marks = stack.enter_context(open_for_deleting(settings.marks))
                marks.reach()
            yield PrunedSet(settings, chosen, ring, target, marks, others)
