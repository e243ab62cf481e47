"""What is to be told: definitions understood, notices getting out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from server.inventory.effective import StoredDefinitionBroken, understand
from watchkeep.checks.verdict import failure, fine, unknown, warning
from watchkeep.checks.wording import count, names, span

if TYPE_CHECKING:
    from watchkeep.checks.subject import Subject
    from watchkeep.checks.verdict import Verdict

STUCK_SECONDS: Final = 300.0


def check_definitions(subject: Subject) -> Verdict:
    """Every stored definition is understood by this version."""
    check = "definitions"
    if subject.diagnosis is None or subject.diagnosis.ledger is None:
        return unknown(check, "the database cannot be asked")
    stored = subject.diagnosis.ledger.definitions
    broken = []
    for each in stored:
        try:
            understand(each)
        except StoredDefinitionBroken:
            broken.append(f"{each.kind} {each.name}")
    if broken:
        return failure(check, f"not understood: {names(broken)}", "apply them anew: watchkeep apply FILE")
    kinds = [count(sum(each.kind == kind for each in stored), kind) for kind in ("template", "host", "receiver")]
    return fine(check, ", ".join(kinds))


def check_notices(subject: Subject) -> Verdict:
    """Notices reach their receivers."""
    check = "notices"
    if subject.diagnosis is None or subject.diagnosis.ledger is None:
        return unknown(check, "the database cannot be asked")
    found = subject.diagnosis.ledger.notices
    error = f" ({found.last_error})" if found.last_error else ""
    remedy = (
        "is the receiver's address right and reachable from the server? `watchkeep diff` and the problems page tell"
    )
    if found.failed_today:
        return failure(check, f"{count(found.failed_today, 'notice')} given up in the last day{error}", remedy)
    if found.waiting and found.oldest_waiting_seconds > STUCK_SECONDS:
        message = f"{found.waiting} waiting, the oldest for {span(found.oldest_waiting_seconds)}{error}"
        return warning(check, message, remedy)
    return fine(check, f"{found.waiting} waiting" if found.waiting else "none waiting, none given up in the last day")
