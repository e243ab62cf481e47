"""The steps of a run: look, decide, save, compare, sign. The signed manifest is the last thing written."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from backup.engine.command import Workplace
from backup.engine.decision import Policy, Situation, decide
from backup.engine.program import find_program
from backup.errors import EngineFailed, TargetDiffers, WorkFailed
from backup.installed import installed_version
from backup.keys.messages import clear_sign
from backup.keys.ring import KeyRing
from backup.manifest import write_manifest
from backup.model import Manifest
from backup.runtime.mounts import unmount_below
from backup.saving.cache import MetadataCache
from backup.saving.chain_choice import doubt_of_copies, new_chain
from backup.saving.comparison import compare
from backup.saving.copies import Effort, open_copies
from backup.saving.leftovers import chain_manifests, withdraw
from backup.saving.mending import mend_records, with_figures
from backup.saving.run_keys import try_keys
from backup.saving.sending import send
from backup.saving.target_memory import TargetMemory
from backup.sources.contract import ChainedSource
from backup.sources.covering import told_covers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from backup.catalogue import Catalogue
    from backup.engine.decision import Decision
    from backup.model import VolumeRecord
    from backup.saving.attempt import Attempt
    from backup.saving.copies import Copies
    from backup.saving.copy_of_set import Copy
    from backup.saving.journal import Journal
    from backup.saving.run_keys import RunKeys
    from backup.saving.sending import Sent
    from backup.sources.contract import Prepared
    from backup.targets.contract import Target


def save(attempt: Attempt) -> None:
    """Make one restore point at every target of the set; the attempt's record has its figures then.

    Raises BackupError; nothing counts then, but for what the record says in `at`: that point is whole at the targets
    that its `missing_at` does not name.
    """
    settings, chosen, now = attempt.settings, attempt.chosen, datetime.now(UTC)
    ring = KeyRing(settings.keys.host, settings.keys.host_passphrase_file)
    with ring, open_copies(settings, chosen, attempt.place) as copies:
        attempt.phase("looking")
        keys = try_keys(attempt, ring, now)
        memory = TargetMemory(attempt, ring)
        copies.look(ring, memory)
        memory.keep(copies.present)
        with _work_folders(attempt.journal.folder) as (scratch, temporary):
            effort = _effort(attempt, temporary)
            copies.level(effort)
            mend_records(attempt.journal, copies.common)
            copies.clear(attempt.journal.newest())
            main = copies.main
            attempt.restore_points = sum(1 for point in main.catalogue.points if point.broken is None)
            cache = MetadataCache(attempt.journal.folder / "cache")
            decision = _decide(attempt, copies, memory, cache, keys, now)
            _let_second_pass(main.catalogue, attempt.journal)
            chain = decision.base.manifest.chain if decision.base else new_chain(copies, attempt.place, now)
            attempt.note(kind=decision.kind, reason=decision.reason, chain=chain)
            copies.demand_room(decision.kind)
            cache.make(chain)
            attempt.phase("preparing")
            with _prepared(attempt, decision, scratch) as prepared:
                attempt.reminders = [*(attempt.reminders or []), *prepared.remarks]
                attempt.note(covers=told_covers(settings, chosen, prepared.covers))
                workplace = Workplace(cache=cache.place(chain), temporary=temporary)
                sent = send(attempt, main, prepared, decision, keys, workplace)
            attempt.phase("comparing")
            volumes = _compare(attempt, main.target, chain, sent)
            cache.seal(chain)
            manifest = _describe(attempt, decision, prepared, keys, sent, volumes)
            _put_manifest(attempt, main, manifest, keys)
            cache.keep_only(chain)
            attempt.restore_points += 1
            attempt.record = with_figures(attempt.record, manifest)
            copies.spread(manifest, main, effort)
            memory.keep(copies.present)
            memory.adopt(copies.present)
    attempt.note(missing_at=copies.lacking(manifest))
    copies.demand_all(manifest)


def _effort(attempt: Attempt, temporary: Path) -> Effort:
    copied = 0

    def count(size: int) -> None:
        nonlocal copied
        copied += size
        attempt.phase("copying", copied)

    return Effort(scratch=temporary / "copied", on_bytes=count)


def _decide(
    attempt: Attempt, copies: Copies, memory: TargetMemory, cache: MetadataCache, keys: RunKeys, now: datetime
) -> Decision:
    newest, catalogue = copies.main.newest, copies.main.catalogue
    doubt: str | None = None
    full_at: datetime | None = None
    if newest is not None:
        manifests = chain_manifests(catalogue, newest.manifest.chain)
        full_at = manifests[0].at
        doubt = (
            _changed(newest.manifest, attempt, keys)
            or _run_later(newest.manifest, manifests)
            or doubt_of_copies(copies, attempt.place, manifests, cache)
            or cache.settle(newest.manifest.chain, manifests)
        )
        if doubt is None and newest.broken is None and isinstance(attempt.source, ChainedSource):
            doubt = attempt.source.doubt(newest.manifest.consistency)
    policy = Policy(full_after_links=attempt.chosen.full_after_links, full_after=attempt.chosen.full_after)
    situation = Situation(
        newest=newest, full_at=full_at, doubt=doubt, is_full_asked=attempt.is_full_asked, vanished=memory.count
    )
    return decide(situation, policy, now)


def _changed(newest: Manifest, attempt: Attempt, keys: RunKeys) -> str | None:
    """Return what differs from the run before so that a chain may not go on; a chain has one signer and one source."""
    if newest.signer != keys.signer.fingerprint:
        return f"the signing key is another one: {keys.signer.fingerprint[-16:]} instead of {newest.signer[-16:]}"
    now = [key.fingerprint for key in keys.recipients]
    if set(newest.recipients) != set(now):
        before, after = (", ".join(each[-16:] for each in sorted(side)) for side in (newest.recipients, now))
        return f"the encryption keys are others: {after} instead of {before}"
    if newest.source != attempt.source.kind:
        return f"the set's source was {newest.source}"
    return None


def _run_later(newest: Manifest, manifests: Sequence[Manifest]) -> str | None:
    """Return that a chain has points of a time to come, from which only duplicity would go on."""
    if manifests[-1].at <= newest.at:
        return None
    return "the clock went back: the newest restore point of the chain before lies in the future"


def _let_second_pass(catalogue: Catalogue, journal: Journal) -> None:
    """Wait until the newest restore point is a second old: duplicity names runs by whole seconds, and so do we.

    It may lie at a target that is away now, and be known from the journal alone.
    """
    known = {point.at for point in catalogue.points} | {each.at for each in journal.newest() if each.at is not None}
    now = datetime.now(UTC)
    left = [(at + timedelta(seconds=1) - now).total_seconds() for at in known]
    time.sleep(max((each for each in left if 0 < each <= 1), default=0))


def _prepared(attempt: Attempt, decision: Decision, scratch: Path) -> AbstractContextManager[Prepared]:
    """Make the source ready: all of it, or what changed since the run that an incremental goes on from."""
    if decision.base is not None and isinstance(attempt.source, ChainedSource):
        return attempt.source.prepare_after(scratch, decision.base.manifest.consistency)
    return attempt.source.prepare(scratch)


@contextmanager
def _work_folders(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Empty folders for the source and for duplicity, the same at every run; emptied of what a killed run left."""
    pair = (folder / "scratch", folder / "temporary")
    try:
        for each in pair:
            unmount_below(each)
            shutil.rmtree(each, ignore_errors=True)
            each.mkdir(mode=0o700)
    except OSError as error:
        raise WorkFailed(f"{folder} cannot be used: {error.strerror}") from error
    try:
        yield pair
    finally:
        for each in pair:
            shutil.rmtree(each, ignore_errors=True)


def _compare(attempt: Attempt, target: Target, chain: str, sent: Sent) -> list[VolumeRecord]:
    read = 0

    def count(size: int) -> None:
        nonlocal read
        read += size
        attempt.phase("comparing", read)

    on_bytes = count if attempt.counts_ahead else None
    volumes: list[VolumeRecord] = []
    for part, files in sent.parts.items():
        folder = attempt.place.part(chain, part)
        found = compare(target, folder, files.names, files.sums, known=sent.known, on_bytes=on_bytes)
        volumes += [replace(each, name=f"{part}/{each.name}".lstrip("/")) for each in found]
    return volumes


def _describe(
    attempt: Attempt,
    decision: Decision,
    prepared: Prepared,
    keys: RunKeys,
    sent: Sent,
    volumes: Sequence[VolumeRecord],
) -> Manifest:
    base = decision.base.manifest if decision.base else None
    chain = attempt.record.chain
    if chain is None:
        raise EngineFailed("the run has no chain")  # it was noted before duplicity was started
    return Manifest(
        host=attempt.place.host,
        set=attempt.place.set,
        due_at=attempt.record.id.due_at,
        at=sent.at,
        finished_at=datetime.now(UTC),
        kind=decision.kind,
        reason=decision.reason,
        chain=chain,
        position=0 if base is None else base.position + 1,
        previous=None if base is None else base.name,
        source=attempt.source.kind,
        volumes=tuple(volumes),
        recipients=tuple(key.fingerprint for key in keys.recipients),
        signer=keys.signer.fingerprint,
        counts=sent.counts,
        consistency=prepared.consistency,
        software={
            "watchkeep": installed_version("watchkeep"),
            "duplicity": find_program().version,
            "gnupg": keys.ring.gnupg_version,
        },
    )


def _put_manifest(attempt: Attempt, main: Copy, manifest: Manifest, keys: RunKeys) -> None:
    """Sign and write the manifest, and read it back: from here on the run counts."""
    folder, target = attempt.place.points, main.target
    if manifest.name in target.files(folder):
        raise TargetDiffers(f"{folder}/{manifest.name} is there already; did the clock go back?")
    signed = clear_sign(keys.ring, write_manifest(manifest), keys.signer)
    target.write(f"{folder}/{manifest.name}", signed.encode("utf-8"))
    if b"".join(target.read(f"{folder}/{manifest.name}")) != signed.encode("utf-8"):
        withdraw(main.settings, [f"{folder}/{manifest.name}"], attempt.record.started_at)
        raise TargetDiffers(f"{folder}/{manifest.name} is not what was written there")
