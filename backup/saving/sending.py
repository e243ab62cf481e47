"""duplicity's part of a run: it reads what is prepared and puts files at the target, by its own account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.engine.command import Saving, call, paced, saving_arguments
from backup.engine.process import demand_success, run_call
from backup.errors import EngineFailed, SourceFailed, TargetDiffers
from backup.model import Counts, read_instant
from backup.saving.comparison import volume_sums

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from backup.engine.command import Workplace
    from backup.engine.decision import Decision
    from backup.engine.process import Outcome
    from backup.saving.attempt import Attempt
    from backup.saving.copies import Copy
    from backup.saving.run_keys import RunKeys
    from backup.sources.contract import Prepared

_INSTANT_OF: Final = re.compile(r"^duplicity-(?:full|inc\.\d{8}T\d{6}Z\.to)\.(\d{8}T\d{6}Z)\.manifest\.gpg$")
_STATISTICS: Final = ("SourceFiles", "SourceFileSize", "RawDeltaSize")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What duplicity put at the target, by its own account."""

    at: datetime
    names: Mapping[str, int]
    sums: Mapping[int, str]
    counts: Counts


def send(
    attempt: Attempt, main: Copy, prepared: Prepared, decision: Decision, keys: RunKeys, workplace: Workplace
) -> Sent:
    """Run duplicity to its end. Raises what it failed of, SourceFailed when what cannot be halved was read in part."""
    chosen, target = attempt.chosen, main.target
    folder = attempt.place.chain(workplace.cache.name)
    before = target.files(folder)
    saving = Saving(
        kind=decision.kind,
        root=prepared.root,
        selection=prepared.selection,
        url=target.url(folder),
        options=target.options(),
        recipients=[key.fingerprint for key in keys.recipients],
        signer=keys.signer.fingerprint,
        volume_bytes=chosen.volume_size,
        max_block_bytes=chosen.max_block_size,
        shows_progress=attempt.counts_ahead,
    )
    timeout = main.settings.timeout.total_seconds()
    attempt.phase("saving")
    outcome = run_call(
        call(
            saving_arguments(saving, workplace, timeout),
            keys.ring.signing_environment(),
            target.environment(),
            paced(main.settings.upload_limit),
        ),
        doing=f"saving set {chosen.name!r}",
        time_limit_seconds=chosen.time_limit.total_seconds(),
        on_progress=attempt.on_progress,
    )
    _demand_read(prepared, outcome)
    demand_success(outcome, f"saving set {chosen.name!r}")
    counts = _count(outcome)
    _demand_unread(prepared, outcome)
    after = target.files(folder)
    names = {name: size for name, size in after.items() if name not in before}
    found = [match for match in map(_INSTANT_OF.match, names) if match is not None]
    if len(found) != 1:
        raise TargetDiffers(f"duplicity ended well, but {len(found)} new manifests of it are at the target, not one")
    local = workplace.cache / found[0][0].removesuffix(".gpg")
    return Sent(at=read_instant(found[0][1]), names=names, sums=volume_sums(local.read_bytes()), counts=counts)


def _count(outcome: Outcome) -> Counts:
    told = outcome.told
    missing = [name for name in _STATISTICS if name not in told.statistics]
    if missing:
        raise EngineFailed(f"duplicity's statistics lack {missing[0]}; is it a version we do not know?")
    return Counts(
        entries=told.statistics["SourceFiles"],
        bytes=told.statistics["SourceFileSize"],
        changed_bytes=told.statistics["RawDeltaSize"],
        unreadable=max(told.unreadable, told.statistics.get("Errors", 0)),
        unreadable_names=tuple(told.unreadable_names),
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
            f"duplicity found {changed} entries changed, not {prepared.most_changed} at most: it may have read what"
            " only stood for data that the chain has; run the set with --full"
        )
