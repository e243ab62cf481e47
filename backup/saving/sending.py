"""duplicity's part of a run: it reads what is prepared and puts files at the target, by its own account."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.cut import read_cut
from backup.engine.blocks import fitting_block
from backup.engine.command import Saving, call, paced, reading_environment, saving_arguments
from backup.engine.compression import choose_compression
from backup.engine.process import demand_sent, run_calls
from backup.errors import EngineFailed, SourceFailed, TargetDiffers
from backup.model import Counts, part_names, read_instant
from backup.saving.comparison import Known, volume_sums
from backup.saving.reading_early import EarlyReading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backup.engine.command import Workplace
    from backup.engine.decision import Decision
    from backup.engine.process import Outcome
    from backup.saving.attempt import Attempt
    from backup.saving.copy_of_set import Copy
    from backup.saving.run_keys import RunKeys
    from backup.sources.contract import Prepared

_INSTANT_OF: Final = re.compile(r"^duplicity-(?:full|inc\.\d{8}T\d{6}Z\.to)\.(\d{8}T\d{6}Z)\.manifest\.gpg$")
_NAMES_KEPT: Final = 20
_STATISTICS: Final = ("SourceFiles", "SourceFileSize", "RawDeltaSize")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPart:
    """What one duplicity put into its folder: names and sizes as listed there, SHA-1 by volume by its own account."""

    at: datetime
    names: Mapping[str, int]
    sums: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was put at the target, by part, and what is known of it."""

    at: datetime
    parts: Mapping[str, SentPart]
    counts: Counts
    known: Known


def send(
    attempt: Attempt, main: Copy, prepared: Prepared, decision: Decision, keys: RunKeys, workplace: Workplace
) -> Sent:
    """Run duplicity to its end, one for each part at once; the first that fails ends the others.

    Raises what it failed of, SourceFailed when what cannot be halved was read in part.
    """
    chosen, target, doing = attempt.chosen, main.target, f"saving set {attempt.chosen.name!r}"
    parts = part_names(len(prepared.selections))
    folders = {part: attempt.place.part(workplace.cache.name, part) for part in parts}
    before = {part: target.files(folder) for part, folder in folders.items()}
    compression = choose_compression(keys.ring.signing_environment(), workplace.temporary, chosen.volume_size)
    saving = Saving(
        kind=decision.kind,
        root=prepared.root,
        options=target.options(),
        compression=compression.arguments,
        recipients=[key.fingerprint for key in keys.recipients],
        signer=keys.signer.fingerprint,
        volume_bytes=chosen.volume_size,
        max_block_bytes=_largest_block(attempt, prepared),
        shows_progress=attempt.counts_ahead,
        at=datetime.now(UTC) if len(parts) > 1 else None,  # one instant for all parts of a point
    )
    environments = (
        keys.ring.signing_environment(),
        compression.environment,
        target.environment(),
        paced(_share(main, len(parts))),
        reading_environment() if prepared.reads_all else {},
    )
    timeout = main.settings.timeout.total_seconds()
    calls = []
    for part, selection in zip(parts, prepared.selections, strict=True):
        arguments = saving_arguments(saving, selection, target.url(folders[part]), workplace.of_part(part), timeout)
        made = call(arguments, *environments)
        calls.append(replace(made, namespace=prepared.namespace, reads_all=prepared.reads_all))
    attempt.phase("saving")
    with EarlyReading(main.settings, {folder: before[part] for part, folder in folders.items()}) as early:
        calls[-1] = replace(calls[-1], started=early.begin)
        outcomes = run_calls(
            calls, doing=doing, time_limit_seconds=chosen.time_limit.total_seconds(), on_progress=attempt.on_progress
        )
    cut = read_cut(prepared.consistency)
    for outcome in outcomes:
        _demand_read(prepared, outcome)
        demand_sent(outcome, doing + cut.said(parts[outcome.number]))
    counts = _sum([_count(outcome, prepared) for outcome in outcomes], prepared.counted_again)
    for outcome in outcomes:
        _demand_unread(prepared, outcome)
    sent = {
        part: _sent(target.files(folder), before[part], workplace.of_part(part), folder)
        for part, folder in folders.items()
    }
    instants = {each.at for each in sent.values()}
    if len(instants) != 1:
        raise EngineFailed(f"the parts of one run have {len(instants)} instants; is it a duplicity we do not know?")
    return Sent(
        at=instants.pop(), parts=sent, counts=counts, known=Known(early=early.found, sealed=compression.sealed())
    )


def _largest_block(attempt: Attempt, prepared: Prepared) -> int | None:
    """Return what the set says, or what fits; None, duplicity's own choice, for a tree of files."""
    if attempt.chosen.max_block_size is None and attempt.chosen.paths is None:
        return fitting_block(prepared.root)
    return attempt.chosen.max_block_size


def _share(main: Copy, count: int) -> int | None:
    """Return how fast each of several may send, so that all keep to the target's limit; None without one."""
    limit = main.settings.upload_limit
    return None if limit is None else max(1, limit // count)


def _sent(after: Mapping[str, int], before: Mapping[str, int], workplace: Workplace, folder: str) -> SentPart:
    names = {name: size for name, size in after.items() if name not in before}
    found = [match for match in map(_INSTANT_OF.match, names) if match is not None]
    if len(found) != 1:
        raise TargetDiffers(f"duplicity ended well, but {len(found)} new manifests of it are in {folder}, not one")
    local = workplace.cache / found[0][0].removesuffix(".gpg")
    return SentPart(at=read_instant(found[0][1]), names=names, sums=volume_sums(local.read_bytes()))


def _sum(parts: Sequence[Counts], counted_again: int) -> Counts:
    """Return the counts of all parts together."""
    return Counts(
        entries=sum(each.entries for each in parts) - counted_again,
        bytes=sum(each.bytes for each in parts),
        changed_bytes=sum(each.changed_bytes for each in parts),
        unreadable=sum(each.unreadable for each in parts),
        unreadable_names=tuple(name for each in parts for name in each.unreadable_names)[:_NAMES_KEPT],
    )


def _count(outcome: Outcome, prepared: Prepared) -> Counts:
    told = outcome.told
    seen_at = "" if prepared.namespace is None else str(prepared.root)  # people know a thing by where it really is
    missing = [name for name in _STATISTICS if name not in told.statistics]
    if missing:
        raise EngineFailed(f"duplicity's statistics lack {missing[0]}; is it a version we do not know?")
    return Counts(
        entries=told.statistics["SourceFiles"],
        bytes=told.statistics["SourceFileSize"],
        changed_bytes=told.statistics["RawDeltaSize"],
        unreadable=max(told.unreadable, told.statistics.get("Errors", 0)),
        unreadable_names=tuple(name.removeprefix(seen_at) for name in told.unreadable_names),
    )


def _demand_read(prepared: Prepared, outcome: Outcome) -> None:
    """Return when duplicity could read all of what is nothing in parts. Raises SourceFailed."""
    told = outcome.told
    if prepared.is_indivisible and (told.unreadable or told.statistics.get("Errors", 0)):
        names = ", ".join(dict.fromkeys(told.unreadable_names)) or "a part"
        raise SourceFailed(f"{names} could not be read to its end, and half is no backup: try again")


def _demand_unread(prepared: Prepared, outcome: Outcome) -> None:
    """Return when duplicity read no stand-in for what the chain has. Raises EngineFailed."""
    changed = outcome.told.statistics.get("ChangedFiles")
    if prepared.most_changed is not None and (changed is None or changed > prepared.most_changed):
        raise EngineFailed(
            f"duplicity found more changed ({changed}) than {prepared.most_changed} at most: it may have read what"
            " only stood for data that the chain has; run the set with --full"
        )
