"""What the installation does: a server holds the lease, the page answers."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

from watchkeep.checks.verdict import failure, fine, unknown
from watchkeep.checks.wording import span

if TYPE_CHECKING:
    from watchkeep.checks.subject import Subject
    from watchkeep.checks.verdict import Verdict

STALE_SECONDS: Final = 10.0
PAGE_SECONDS: Final = 5.0


def check_lease(subject: Subject) -> Verdict:
    """A server is active and its heart beats."""
    check = "active server"
    if subject.diagnosis is None or subject.diagnosis.ledger is None:
        return unknown(check, "the database cannot be asked")
    lease = subject.diagnosis.ledger.lease
    remedy = "start a server; its log says why when it does not become active"
    if lease.epoch == 0:
        return failure(check, "none was ever active", remedy)
    if lease.is_released:
        return failure(check, f"none: {lease.holder} has ended in order", remedy)
    age = lease.heartbeat_age_seconds
    if age > STALE_SECONDS:
        return failure(check, f"{lease.holder} was last heard {span(age)} ago, and nobody took over", remedy)
    return fine(check, f"{lease.holder}, epoch {lease.epoch}, heartbeat {span(max(age, 0.0))} ago")


def check_page(subject: Subject) -> Verdict:
    """The page's port answers with a page."""
    check = "page"
    if subject.installation is None:
        return unknown(check, "without installation.json nobody knows where it is")
    url = subject.installation.url
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    remedy = "the server serves it: does it run, and what does its log say?"
    try:
        with opener.open(url, timeout=PAGE_SECONDS) as answer:
            kind = answer.headers.get_content_type()
    except urllib.error.HTTPError as error:
        error.close()
        return failure(check, f"{url} answers {error.code} {error.reason}", remedy)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return failure(check, f"{url} does not answer: {getattr(reason, 'strerror', None) or reason}", remedy)
    if kind != "text/html":
        return failure(
            check, f"{url} answers {kind}, not a page", "another program has the port? choose another --port"
        )
    return fine(check, f"{url} answers")
