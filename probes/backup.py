"""How this host's backups stand: what `bkp run` wrote down of each set, with ages as of now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config.reader import setting
from core.model.prediction import archived_to, lost_seconds
from core.runtime.window import parse_window
from probes.backup_archives import ARCHIVES, archive_readings
from probes.backup_covers import COVERS, covers_readings
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe
from probes.state_files import MOST_SETS, distance_seconds, has_news, instant, is_running, read_table, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.declaration import Afterwards

SETS_FILE: Final = "backup-sets.json"
RUNS_FILE: Final = "backup-runs.json"
"""What the agent that runs the backups knows beyond their states: which wait, beside SETS_FILE."""
OK, RUNNING, FAILED, NEVER, CANCELLED = 0.0, 1.0, 2.0, 3.0, 4.0
_STATUS: Final = {"ok": OK, "running": RUNNING, "failed": FAILED, "killed": FAILED, "cancelled": CANCELLED}


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Where the states lie."""

    folder: Path | None = field(
        default=None, metadata=setting("folder of the state files; none: of the backups this agent runs")
    )


def _item(key: str, unit: str, description: str, kind: str = "number") -> Item:
    return Item(key=f"backup.{key}", unit=unit, description=description, parameter="set", type=kind)


_ITEMS = (
    _item("status", "", "How the last run ended: 0 ok, 1 running, 2 failed, 3 never ran, 4 cancelled"),
    _item("run_age_seconds", "s", "How long ago the last run began, good or not"),
    _item("age_seconds", "s", "Age of the data of the last good backup"),
    _item("period_seconds", "s", "Every how long the set is due by its schedule; 0: by hand only"),
    _item("overdue_seconds", "s", "How much older the last good backup is than its schedule wants"),
    _item("size_bytes", "B", "What the last good backup saved, as it lay at its source"),
    _item(
        "waiting_seconds", "s", "How long the set has been due and waits for others on this host to end; 0: it does not"
    ),
    _item(
        "queued_seconds", "s", "How long the set has waited for a place under a limit of the server's; 0: it does not"
    ),
    _item("unplaced", "", "1 when the last run began without its place, which no server gave it in time; else 0"),
    _item("run_seconds", "s", "How long the run under way has taken so far, or the last one took"),
    _item(
        "duration_ratio", "", "How many times its usual time that is; unknown until three runs of the kind were good"
    ),
    _item("overrun_seconds", "s", "How long that run went on after the window it began in had closed"),
    _item("grown_percent", "%", "How much more the last good backup saved than the most of the seven before it"),
    _item("shrunk_percent", "%", "How much less the last good backup saved than the most of the seven before it"),
    _item("unreadable", "", "Entries the last good backup could not read, and so has not saved"),
    _item("stored_bytes", "B", "What the last good backup added to its target"),
    _item("duration_seconds", "s", "How long the last good backup took"),
    _item("loss_seconds", "s", "How much work a disaster would cost at worst, by schedule, duration and age"),
    _item("loss_over_seconds", "s", "How much more that is than the set's lose_at_most allows"),
    _item("restore_points", "", "Instants that can be restored"),
    _item("restore_points_vanished", "", "Restore points that are gone from a target though no prune takes them"),
    _item("key_days_left", "d", "Days until the first key that the set's runs need expires; negative afterwards"),
    *ARCHIVES,
    COVERS,
    _item("kind", "", "What the last good backup was: full or incremental", "text"),
    _item("error", "", "Why the last run failed; empty when it did not", "text"),
    _item("phase", "", "What the run under way does; empty while none is", "text"),
    _item("order", "", "Of the last run a server ordered: when it was due, what became of it, and why", "text"),
    _item(
        "claim", "", "The run that waits for a place: when it was due, since when its set waits, its targets", "text"
    ),
    _item("reminder", "", "What has to be done about the keys; empty when nothing", "text"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    """A set to report; `period` and `since` are None where no schedule is known, `lose_at_most` where none is set."""

    name: str
    period: timedelta | None = None
    since: datetime | None = None
    window: str | None = None
    waiting_since: datetime | None = None
    queued_since: datetime | None = None
    claim: str = ""
    is_unplaced: bool = False
    lose_at_most: timedelta | None = None
    phase: str | None = None
    order: str = ""


@probe("backup", items=_ITEMS, parameters=Parameters, may_block=True, has_news=has_news)
def read_backups(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure | Afterwards]":
    """Yield each set's figures; a broken state file is a failure that names it and hurts no other set."""
    folder, sets = _known_sets(visit, parameters)
    own = [] if visit.folder is None else [visit.folder / RUNS_FILE]
    watch(visit, [*own, *(folder / f"{each.name}.json" for each in sets)])
    now = datetime.now(UTC)
    for each in sets:
        try:
            yield from _readings(visit, each, folder / f"{each.name}.json", now)
        except ProbeFailedError as error:
            yield Failure(str(error))


def _known_sets(visit: Visit, parameters: Parameters) -> tuple[Path, list[_Set]]:
    """Return the folder of states and the sets to report. Raises ProbeFailedError when this agent runs no backups."""
    if parameters.folder is not None:
        try:
            names = sorted(file.stem for file in parameters.folder.iterdir() if file.suffix == ".json")
        except OSError as error:
            raise ProbeFailedError(f"{parameters.folder}: {error.strerror}") from error
        return parameters.folder, [_Set(name=name) for name in names[:MOST_SETS]]
    listed = None if visit.folder is None else visit.folder / SETS_FILE
    if listed is None or not listed.exists():
        raise ProbeFailedError(
            "no backups are known here: name backup.toml as `backup` in the agent's configuration, or give this probe"
            " the parameter folder"
        )
    table = read_table(listed)
    runs = listed.with_name(RUNS_FILE)
    told = read_table(runs) if runs.exists() else {}
    waiting, phases, orders, claims = (told.get(name, {}) for name in ("waiting", "phases", "orders", "claims"))
    unplaced = told.get("unplaced", ())
    try:
        sets = [
            _Set(
                name=str(entry["name"]),
                period=None if entry["period_seconds"] is None else timedelta(seconds=entry["period_seconds"]),
                since=datetime.fromisoformat(entry["since"]),
                window=entry.get("window"),
                waiting_since=None if entry["name"] not in waiting else instant(waiting[entry["name"]]),
                queued_since=None if entry["name"] not in claims else instant(claims[entry["name"]]["asked_at"]),
                claim=_claim_text(claims.get(entry["name"])),
                is_unplaced=entry["name"] in unplaced,
                lose_at_most=_duration(entry.get("lose_at_most_seconds")),
                phase=phases.get(entry["name"], ""),
                order=" ".join(
                    str(orders.get(entry["name"], {}).get(name, "")) for name in ("due_at", "state", "note")
                ),
            )
            for entry in table["sets"]
        ]
        return Path(table["state"]), sets[:MOST_SETS]
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeFailedError(f"{listed}: cannot be understood ({error!r})") from error


def _readings(visit: Visit, each: _Set, file: Path, now: datetime) -> "Iterator[Reading | Afterwards]":
    state = read_table(file) if file.exists() else {}
    last, good = _run(state, "last_run", file), _run(state, "last_good", file)
    try:
        yield Reading("backup.status", _status(last), each.name)
        if last is not None:
            begun = max(0.0, (now - instant(last["started_at"])).total_seconds())
            yield Reading("backup.run_age_seconds", begun, each.name)
            yield from _course(each, last, state.get("usual_seconds") or {}, now)
        if each.phase is not None:
            yield from _heard(each, each.phase, now)
        saved_at = None if good is None else instant(good.get("at") or good["started_at"])
        yield from _ages(each, saved_at, now)
        yield from _losses(each, saved_at, state, now)
        if good is not None:
            yield from covers_readings(visit, each.name, good)
            for item, name in (
                ("size_bytes", "source_bytes"),
                ("unreadable", "unreadable"),
                ("stored_bytes", "stored_bytes"),
                ("duration_seconds", "duration_seconds"),
            ):
                if good.get(name) is not None:
                    yield Reading(f"backup.{item}", float(good[name]), each.name)
            usual = state.get("usual_bytes")
            if usual and good.get("source_bytes") is not None:
                shrunk = 100.0 * (1.0 - good["source_bytes"] / usual)
                yield Reading("backup.shrunk_percent", max(0.0, shrunk), each.name)
                yield Reading("backup.grown_percent", max(0.0, -shrunk), each.name)
            if good.get("kind"):
                yield Reading("backup.kind", str(good["kind"]), each.name)
        yield from archive_readings(each.name, state, now)
        yield from _restore_points(each, state)
        if state.get("key_expires_at"):
            left = (instant(state["key_expires_at"]) - now).total_seconds() / 86_400
            yield Reading("backup.key_days_left", left, each.name)
        error = "" if last is None else last.get("error") or ""
        yield Reading("backup.error", str(error), each.name)
        if state:
            reminder = "; ".join(str(text) for text in state.get("reminders", []))
            yield Reading("backup.reminder", reminder, each.name)
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeFailedError(f"{file}: cannot be understood ({error!r})") from error


def _status(last: Mapping[str, Any] | None) -> float:
    if last is None:
        return NEVER
    status = _STATUS[last["status"]]
    return FAILED if status == RUNNING and not is_running(last) else status


def _restore_points(each: _Set, state: Mapping[str, Any]) -> "Iterator[Reading]":
    """Yield how many restore points there are, and how many vanished; nothing while nobody has counted."""
    points = state.get("restore_points")
    if points is not None:
        yield Reading("backup.restore_points", float(points), each.name)
    if "vanished" in state:
        vanished = sum(entry["count"] for entry in state["vanished"])
        yield Reading("backup.restore_points_vanished", float(vanished), each.name)


def _heard(each: _Set, phase: str, now: datetime) -> "Iterator[Reading]":
    """Yield what only the agent that runs the backups knows."""
    for item, since in (("waiting_seconds", each.waiting_since), ("queued_seconds", each.queued_since)):
        waits = 0.0 if since is None else max(0.0, (now - since).total_seconds())
        yield Reading(f"backup.{item}", waits, each.name)
    yield Reading("backup.unplaced", float(each.is_unplaced), each.name)
    yield Reading("backup.claim", each.claim, each.name)
    yield Reading("backup.phase", phase, each.name)
    yield Reading("backup.order", each.order.strip(), each.name)


def _course(each: _Set, run: Mapping[str, Any], usual: Mapping[str, Any], now: datetime) -> "Iterator[Reading]":
    """Yield how long a run takes or took, beside its usual time and its window."""
    begun_at = instant(run["started_at"])
    ended_at = instant(run["ended_at"]) if run.get("ended_at") else now
    took = max(0.0, (ended_at - begun_at).total_seconds())
    yield Reading("backup.run_seconds", took, each.name)
    # What kind a run under way will be is not told yet: a full takes longest.
    expected = usual.get(str(run.get("kind"))) if run["status"] == "ok" else max(usual.values(), default=None)
    if expected:
        yield Reading("backup.duration_ratio", took / max(1.0, float(expected)), each.name)
    closes_at = None if each.window is None else parse_window(each.window).closes_at(begun_at)
    beyond = 0.0 if closes_at is None else max(0.0, (ended_at - closes_at).total_seconds())
    if each.window is not None:
        yield Reading("backup.overrun_seconds", beyond, each.name)


def _ages(each: _Set, saved_at: datetime | None, now: datetime) -> "Iterator[Reading]":
    """Yield ages as of `now`."""
    if saved_at is not None:
        yield Reading("backup.age_seconds", distance_seconds(saved_at, now), each.name)
    if each.since is not None:
        yield Reading("backup.period_seconds", 0.0 if each.period is None else each.period.total_seconds(), each.name)
    newest = saved_at or each.since
    if each.period is not None and newest is not None:
        late = distance_seconds(newest, now) - each.period.total_seconds()
        yield Reading("backup.overdue_seconds", max(0.0, late), each.name)


def _losses(each: _Set, saved_at: datetime | None, state: Mapping[str, Any], now: datetime) -> "Iterator[Reading]":
    """Yield the predicted loss; while nothing was ever saved, all the work since the set is known is lost."""
    good, archived = state.get("last_good") or {}, archived_to(state)
    since = saved_at or (each.since if each.period is not None else None)
    lost = lost_seconds(
        age=None if since is None else distance_seconds(since, now),
        period=None if each.period is None else each.period.total_seconds(),
        duration=float(good.get("duration_seconds") or 0.0),
        archived=None if archived is None else distance_seconds(instant(archived), now),
    )
    if lost is not None:
        yield Reading("backup.loss_seconds", lost, each.name)
        if each.lose_at_most is not None:
            over = lost - each.lose_at_most.total_seconds()
            yield Reading("backup.loss_over_seconds", max(0.0, over), each.name)


def _claim_text(claim: Any) -> str:
    return "" if claim is None else f"{claim['due_at']} {claim['since']} {','.join(claim['targets'])}"


def _duration(seconds: Any) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _run(state: Mapping[str, Any], name: str, file: Path) -> Mapping[str, Any] | None:
    found = state.get(name)
    if found is not None and not isinstance(found, Mapping):
        raise ProbeFailedError(f"{file}: {name} is no table")
    return found
