"""Everything refused on links and at intake, counted for the health page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.runtime.logging import Log
from core.security.keys import key_text
from server.api.refusals import RefusalLedger

if TYPE_CHECKING:
    from core.wire.collector import LinkRefusal

log = Log("server")


class Refusals(RefusalLedger):
    """Everything refused on links and at intake."""

    def count_link(self, refusal: LinkRefusal) -> None:
        """Count what a collector refused."""
        self.count(f"link.{refusal.kind}", refusal.detail)

    def count_clone(self, proxy: str, key: bytes) -> None:
        """Count a key that was shut out at `proxy` because it is alive at another one too."""
        detail = f"the key {key_text(key)} is alive at two proxies and was shut out at {proxy}: a copied machine?"
        self.count("link.cloned", detail)
        log.warning("A key is alive at two proxies; its younger link is shut out", proxy=proxy, key=key_text(key))

    def count_set_back(self, source: str, records: int) -> None:
        """Count a group with records under numbers their source had given to others; they are stored, not refused."""
        detail = (
            f"{source} was set back to a snapshot: {records} of its records came under numbers it had given before, and"
            " are stored beside those; it goes on in order once it has passed them, or when it is restarted"
        )
        self.count("reissued", detail)
        log.warning("A source goes on from an earlier state; what it says is stored", source=source, records=records)
