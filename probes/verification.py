"""How this restore station's verifications stand: what `bkp verify` wrote down of each set, with ages as of now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config.reader import setting
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe
from probes.state_files import (
    age_seconds,
    has_news,
    instant,
    is_running,
    overdue_seconds,
    read_table,
    station_sets,
    watch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

VERIFICATIONS_FILE: Final = "verifications.json"
WHOLE, RUNNING, DAMAGED, NEVER, FAILED = 0.0, 1.0, 2.0, 3.0, 4.0
_SHALLOWEST: Final = "stored"
_COUNTED: Final = {"lost": "lost_points", "unlisted": "unlisted_points", "logs": "damaged_logs"}
_MOST_TEXT: Final = 2000


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Where the states lie."""

    folder: Path | None = field(
        default=None,
        metadata=setting(
            "folder `verifications` below the station's `state`; none: of the verifications this agent runs"
        ),
    )


def _item(key: str, unit: str, description: str, kind: str = "number") -> Item:
    return Item(key=f"verification.{key}", unit=unit, description=description, parameter="host/set", type=kind)


_ITEMS = (
    _item(
        "status",
        "",
        "How the last one ended: 0 whole, 1 running, 2 damaged, 3 not every copy seen yet, 4 could not look",
    ),
    _item("verified_age_seconds", "s", "How long ago every copy was last found whole, as deep as it is wanted"),
    _item("overdue_seconds", "s", "How much longer ago that is than the schedule wants"),
    _item("lost_points", "", "Restore points that the damage found costs"),
    _item("unlisted_points", "", "Restore points that come back, but whose lists of files are damaged"),
    _item("damaged_logs", "", "Archived WAL and binary logs that are damaged or missing and cost moments"),
    _item("depth", "", "How deep it is to be looked at: stored, sampled, read or decrypted", "text"),
    _item("error", "", "What is damaged, or why nobody could look; empty when all is well", "text"),
)


@probe("verification", items=_ITEMS, parameters=Parameters, may_block=True, has_news=has_news)
def read_verifications(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Yield each set's figures; nothing where no station is kept. A broken state file hurts no other set."""
    folder, sets = station_sets(visit, parameters.folder, VERIFICATIONS_FILE)
    if folder is None:
        return
    files = [folder / f"{each['label']}.json" for each in sets]
    watch(visit, files)
    now = datetime.now(UTC)
    for each, file in zip(sets, files, strict=True):
        try:
            yield from _readings(each, read_table(file) if file.exists() else {}, now)
        except ProbeFailedError as error:
            yield Failure(str(error))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield Failure(f"{file}: cannot be understood ({error!r})")


def _readings(each: Mapping[str, Any], state: Mapping[str, Any], now: datetime) -> "Iterator[Reading]":
    label, last = each["label"], state.get("last_verification")
    copies = state.get("copies") or {}
    by_target = {target: copies.get(target) or {} for target in each.get("targets") or copies}
    wanted = list(by_target.values())
    damages = [copy["damage"] for copy in wanted if copy.get("damage")]
    status = _status(last, wanted, damages)
    yield Reading("verification.status", status, label)
    error = damages[0]["what"] if damages else (last or {}).get("error")
    if not error and status in (NEVER, FAILED):
        error = _unseen(by_target)
    yield Reading("verification.error", str(error or "")[:_MOST_TEXT], label)
    for key, item in _COUNTED.items():  # a station's state of before does not know of the later ones
        yield Reading(f"verification.{item}", float(max((each.get(key, 0) for each in damages), default=0)), label)
    step = str(each.get("depth") or _SHALLOWEST)
    yield Reading("verification.depth", step, label)
    whole = [instant(copy["whole"][step]) for copy in wanted if (copy.get("whole") or {}).get(step)]
    verified_at = min(whole) if whole and len(whole) == len(wanted) else None
    if verified_at is not None:
        yield Reading("verification.verified_age_seconds", age_seconds(verified_at), label)
    late = overdue_seconds(each, verified_at, now)
    if late is not None:
        yield Reading("verification.overdue_seconds", late, label)


def _status(last: Mapping[str, Any] | None, copies: list[Mapping[str, Any]], damages: list[Mapping[str, Any]]) -> float:
    """Return the status. A verification that says it runs, while nobody does it, was killed.

    Whole: every copy was found so at some time. One that was looked at, is not damaged and was never whole is empty.
    """
    if is_running(last):
        return RUNNING
    if damages:
        return DAMAGED
    if last is not None and last["status"] != "ok":
        return FAILED
    if copies and all(copy.get("whole") for copy in copies):
        return WHOLE
    return FAILED if any(_is_empty(copy) for copy in copies) else NEVER


def _is_empty(copy: Mapping[str, Any]) -> bool:
    return bool(copy.get("last")) and not copy.get("whole")


def _unseen(copies: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which copies were never found whole, and why; nothing when none was ever looked at."""
    if not any(copy.get("last") for copy in copies.values()):
        return ""
    return "; ".join(
        f"at {target} there is no restore point" if _is_empty(copy) else f"the copy at {target} was never looked at"
        for target, copy in copies.items()
        if not copy.get("whole")
    )
