"""What comes in: sources heard, spools draining and whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent.settings import AgentSettings
from core.config.reader import ConfigError, read_config
from core.spool.inspection import inspect
from proxy.settings import ProxySettings
from watchkeep.checks.verdict import failure, fine, unknown, warning
from watchkeep.checks.wording import count, names, size, span

if TYPE_CHECKING:
    from watchkeep.checks.subject import Subject
    from watchkeep.checks.verdict import Verdict

SILENT_SECONDS: Final = 180.0
"""Longer than the one minute that is the longest interval of the shipped templates."""
CHECKED_BYTES: Final = 256_000_000
NEARLY_FULL: Final = 0.75


def check_heard(subject: Subject) -> Verdict:
    """The store gets something of every source that may speak."""
    check = "sources heard"
    if subject.diagnosis is None or subject.diagnosis.ledger is None:
        return unknown(check, "the database cannot be asked")
    sources = [source for source in subject.diagnosis.ledger.sources if not source.is_shut_out]
    if not sources:
        return warning(check, "no source may speak", "let an agent in: watchkeep key allow --help")
    never = [source.name for source in sources if source.heard_seconds_ago is None]
    ages = {source.name: source.heard_seconds_ago for source in sources if source.heard_seconds_ago is not None}
    silent = [f"{name} ({span(age)})" for name, age in ages.items() if age > SILENT_SECONDS]
    told = []
    if silent:
        told.append(f"silent: {names(silent)}")
    if never:
        told.append(f"never heard: {names(never)}")
    if not told:
        oldest = max(ages.values())
        return fine(check, f"{count(len(sources), 'source')}, the longest silence {span(max(oldest, 0.0))}")
    message = "; ".join(told)
    remedy = "look at the log of that host's agent: does it run, reach its proxy, and is its key allowed?"
    if len(silent) + len(never) == len(sources):
        return failure(check, message, remedy)
    return warning(check, message, remedy)


def check_gap_ledger(subject: Subject) -> Verdict:
    """Every record that was ever numbered ended in exactly one way."""
    check = "gap ledger"
    if subject.diagnosis is None or subject.diagnosis.ledger is None:
        return unknown(check, "the database cannot be asked")
    totals = subject.diagnosis.ledger.totals
    wrong = [f"{each.name} ({count(each.wrong_lives, 'life', 'lives')})" for each in totals if each.wrong_lives]
    if wrong:
        remedy = "this is a fault of Watchkeep: report it with the rows of the table `received` of that source"
        return failure(check, f"does not add up: {names(wrong)}", remedy)
    missing = [f"{each.name} ({count(each.missing, 'record')})" for each in totals if each.missing]
    if missing:
        remedy = "nobody is known to have them: was a proxy's disk lost? The host's page shows from when they are"
        return warning(check, f"missing from lives that have ended: {names(missing)}", remedy)
    stored = sum(each.in_time + each.late + each.replayed for each in totals)
    lost, refused = sum(each.lost for each in totals), sum(each.refused for each in totals)
    return fine(check, f"adds up: {count(stored, 'record')} stored, {lost} lost, {refused} refused")


def check_agent_spool(subject: Subject) -> Verdict:
    """What the agent here keeps is whole and gets away."""
    return _check_spool(subject, "agent", AgentSettings)


def check_proxy_spool(subject: Subject) -> Verdict:
    """What the proxy here keeps is whole and gets away."""
    return _check_spool(subject, "proxy", ProxySettings)


def _check_spool(subject: Subject, part: str, kind: type[AgentSettings | ProxySettings]) -> Verdict:
    check = f"{part}'s spool"
    path = subject.config_file(part)
    if not path.exists():
        return unknown(check, f"no {part} is configured here")
    try:
        settings = read_config(path, kind)
    except ConfigError as error:
        return failure(check, str(error).replace("\n", "; "), "`watchkeep up` writes it anew at its start")
    folder = settings.data / "spool"
    try:
        view = inspect(folder, CHECKED_BYTES)
    except FileNotFoundError:
        return unknown(check, f"{folder} is not there yet")
    except OSError as error:
        return failure(check, f"{folder} cannot be read: {error.strerror}", "run the doctor as its owner, or as root")
    if view.damages:
        first = view.damages[0]
        return warning(
            check,
            f"{count(len(view.damages), 'damaged place')}, the first in {folder / first.file} at byte {first.offset}: "
            f"{first.reason}",
            "look after the disk; the damaged records are skipped and named in the log, the others are delivered",
        )
    unchecked = view.held_bytes - view.checked_bytes
    whole = "whole" if unchecked <= 0 else f"the newest {size(view.checked_bytes)} whole"
    message = f"{size(view.held_bytes)} of {size(settings.spool_limit)} held, {whole}"
    if view.held_bytes > NEARLY_FULL * settings.spool_limit:
        lost = "then the oldest records are dropped" if part == "agent" else "then agents keep what they have"
        return warning(check, f"{message}; nearly full, {lost}", "is what it delivers to up? See the checks above")
    return fine(check, message)
