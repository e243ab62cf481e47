"""Tells the server which sources this proxy hears, and the sources whether it hears a server."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NoReturn

from core.wire.limits import MAX_PRESENCE_ROWS
from core.wire.messages import CountersReport, Presence, PresenceRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.wire.collector import Collector, LinkView
    from core.wire.publisher import Publisher
    from proxy.configuration import ProxyConfiguration

_LOOK_SECONDS = 0.2
_REPORT_SECONDS = 2.0
_COUNTERS_SECONDS = 10.0


def presence_of(links: Iterable[LinkView]) -> Iterator[Presence]:
    """Yield the messages that list these links; one without rows when there are none."""
    rows = iter([_row(link) for link in links if link.source is not None])
    is_first = True
    while (part := tuple(islice(rows, MAX_PRESENCE_ROWS))) or is_first:
        yield Presence(is_first=is_first, links=part)
        is_first = False


def _row(link: LinkView) -> PresenceRow:
    return PresenceRow(
        source=link.source or b"",
        key=link.key,
        session=link.session,
        connected_at=link.connected_at,
        heard_at=link.heard_at,
        boot=link.boot,
        number=link.number,
        waiting_records=link.waiting_records,
        waiting_bytes=link.waiting_bytes,
        skew_us=link.skew_us,
        software=link.software,
    )


class PresenceReporter:
    """Reports every two seconds, and soon when a link comes, goes or a server is reached."""

    def __init__(
        self,
        *,
        collector: Collector,
        publisher: Publisher,
        configuration: ProxyConfiguration,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._collector = collector
        self._publisher = publisher
        self._configuration = configuration
        self._counters = counters
        self._clock = clock

    async def run(self) -> NoReturn:
        """Report until cancelled."""
        reported: object = None
        report_at = counters_at = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            session = self._publisher.state.session
            self._collector.stand(role="proxy", epoch=self._configuration.epoch, is_active=session != 0)
            picture = (session, self._collector.sessions())
            if session and (picture != reported or now >= report_at):
                for message in presence_of(self._collector.links()):
                    await self._publisher.send(message)
                reported = picture
                report_at = now + _REPORT_SECONDS
            if session and now >= counters_at:
                counters_at = now + _COUNTERS_SECONDS
                await self._publisher.send(CountersReport(values=self._counters.snapshot()))
            await self._clock.sleep(_LOOK_SECONDS)
