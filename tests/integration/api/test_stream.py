"""Live values and problems by server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from core.runtime.clock import SystemClock
from server.api import stream as stream_module
from server.api.live import LOOK_SECONDS
from server.api.web_terms import WebTerms
from server.store.inventory import ItemDeclaration
from tests.integration.api.data import resolve_problem, store_host, store_problem, store_text, store_values
from tests.integration.api.site import open_site
from tests.support.waiting import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from server.store.database import Database
    from tests.integration.api.site import Site

SECOND = 1_000_000


class Events:
    """An EventSource."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self._fields: dict[str, str] = {}
        self._passed: dict[str, deque[str]] = {}

    async def next(self, kind: str, timeout_seconds: float = PATIENCE_SECONDS) -> Any:
        """Return the data of the next event of a kind; events of other kinds wait for whoever asks for theirs."""
        if passed := self._passed.get(kind):
            return json.loads(passed.popleft())
        async with asyncio.timeout(timeout_seconds):
            while True:
                event, data = await self._read()
                if event == kind:
                    return json.loads(data)
                self._passed.setdefault(event, deque()).append(data)

    async def ended(self, timeout_seconds: float = PATIENCE_SECONDS) -> bool:
        """Tell whether the server ends the stream in time."""
        async with asyncio.timeout(timeout_seconds):
            while await self._answer.content.readline():
                pass
        return True

    async def _read(self) -> tuple[str, str]:
        while line := (await self._answer.content.readline()).decode():
            if line == "\n":
                fields, self._fields = self._fields, {}
                return fields["event"], fields["data"]
            name, _, value = line.rstrip("\n").partition(": ")
            self._fields[name] = value
        raise AssertionError("the stream ended")


@asynccontextmanager
async def listen(site: Site, **query: Any) -> AsyncIterator[Events]:
    async with site.browser.get(site.api("/stream"), params=query) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        events = Events(answer)
        await events.next("ping")
        yield events


async def test_a_new_value_arrives_within_a_second(signed_in: Site, database: Database) -> None:
    host = await store_host(database, "db1", "cpu.busy", "cpu.user")
    busy, user = str(host.items["cpu.busy"]), host.items["cpu.user"]
    async with listen(signed_in, items=f"{busy},{user}") as events:
        await _looked(signed_in)
        now = time.time_ns() // 1000
        await store_values(database, host, "cpu.busy", [now - 1000, now], [1.0, 2.0], number=1)
        looks = signed_in.services.live.looks
        assert await events.next("values") == {busy: [[(now - 1000) // 1000, 1.0], [now // 1000, 2.0]]}
        # The promise is 1 s, by looks and not by this machine's pace; one more look may have come since.
        assert (signed_in.services.live.looks - looks - 1) * LOOK_SECONDS <= 1.0
        await store_values(database, host, "cpu.busy", [now + SECOND], [float("nan")], number=2)
        assert await events.next("values") == {busy: [[(now + SECOND) // 1000, None]]}


async def test_the_newest_batch_is_told_at_once_whatever_the_hosts_clock_says(
    signed_in: Site, database: Database
) -> None:
    host = await store_host(database, "db1", "cpu.busy")
    slow_us = time.time_ns() // 1000 - 1800 * SECOND
    await store_values(database, host, "cpu.busy", [slow_us - 10 * SECOND], [1.0], number=1)
    await store_values(database, host, "cpu.busy", [slow_us], [2.0], number=2)
    async with listen(signed_in, items=host.items["cpu.busy"]) as events:
        assert await events.next("values") == {str(host.items["cpu.busy"]): [[slow_us // 1000, 2.0]]}
        await store_values(database, host, "cpu.busy", [slow_us + SECOND], [3.0], number=3)
        assert await events.next("values") == {str(host.items["cpu.busy"]): [[(slow_us + SECOND) // 1000, 3.0]]}


async def test_texts_arrive_too(signed_in: Site, database: Database) -> None:
    host = await store_host(database, "db1", ItemDeclaration(host_id=0, key="log", type="text"))
    async with listen(signed_in, items=host.items["log"]) as events:
        await _looked(signed_in)
        at_us = time.time_ns() // 1000 + 10 * SECOND
        await store_text(database, host, "log", at_us, "event: fake\ndata: {}\n\n")
        assert await events.next("values") == {str(host.items["log"]): [[at_us // 1000, "event: fake\ndata: {}\n\n"]]}


async def test_documents_arrive_as_documents(signed_in: Site, database: Database) -> None:
    host = await store_host(database, "db1", ItemDeclaration(host_id=0, key="queue", type="structured"))
    async with listen(signed_in, items=host.items["queue"]) as events:
        await _looked(signed_in)
        at_us = time.time_ns() // 1000 + 10 * SECOND
        await store_text(database, host, "queue", at_us, '{"jobs":[7]}')
        assert await events.next("values") == {str(host.items["queue"]): [[at_us // 1000, {"jobs": [7]}]]}


async def test_each_watcher_hears_only_what_it_watches(signed_in: Site, database: Database) -> None:
    host = await store_host(database, "db1", "cpu.busy", "cpu.user")
    busy, user = str(host.items["cpu.busy"]), str(host.items["cpu.user"])
    async with listen(signed_in, items=busy) as one, listen(signed_in, items=user) as other:
        now = time.time_ns() // 1000
        await store_values(database, host, "cpu.busy", [now], [1.0], number=1)
        await store_values(database, host, "cpu.user", [now + SECOND], [2.0], number=2)
        assert (await one.next("values")).keys() == {busy}
        assert (await other.next("values")).keys() == {user}


async def test_problems_arrive_when_they_open_and_when_they_resolve(signed_in: Site, database: Database) -> None:
    host = await store_host(database, "db1")
    await store_problem(database, host, "Old", datetime.now(UTC))
    async with listen(signed_in, problems=1) as events:
        await until(lambda: signed_in.services.live.watchers == 1)
        await _looked(signed_in)
        opened = await store_problem(database, host, "Busy", datetime.now(UTC))
        (told,) = (await events.next("problems"))["problems"]
        assert (told["id"], told["name"], told["resolved_at"]) == (opened.problem_id, "Busy", None)
        await resolve_problem(database, opened, datetime.now(UTC))
        (told,) = (await events.next("problems"))["problems"]
        assert told["id"] == opened.problem_id
        assert told["resolved_at"] is not None


async def test_the_stream_ends_with_its_session(
    signed_in: Site, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "PING_SECONDS", 0.2)
    async with listen(signed_in, problems=1) as events:
        await events.next("ping")
        async with database.connection() as connection:
            await connection.execute("DELETE FROM session")
        assert await events.ended()
    await until(lambda: signed_in.services.live.watchers == 0)


async def test_a_stopping_server_ends_its_streams_at_once(database: Database) -> None:
    async with open_site(database, SystemClock()) as site:
        await site.sign_in()
        async with listen(site, problems=1) as events:
            begun = time.monotonic()
            closing = asyncio.create_task(site.server.close())
            assert await events.ended()
            await closing
    assert time.monotonic() - begun < 30  # the server itself would wait for a minute


async def test_while_nobody_watches_the_store_is_left_alone(signed_in: Site) -> None:
    async with listen(signed_in, problems=1):
        assert signed_in.services.live.watchers == 1
    await until(lambda: signed_in.services.live.watchers == 0)
    async with listen(signed_in, problems=1):  # and it begins again
        assert signed_in.services.live.watchers == 1


@pytest.mark.trial("S-10")
async def test_there_are_only_so_many_streams_and_items_a_stream(database: Database) -> None:
    async with open_site(database, SystemClock(), WebTerms(max_streams=2)) as site:
        await site.sign_in()
        async with listen(site, problems=1), listen(site, problems=1):
            refused = await site.get("/stream", status=503, problems=1)
            assert refused["error"]["code"] == "too_many_streams"
        for items in (",".join(str(n) for n in range(1, 1002)), "0", "99999999999", "1;2", "1,,2", "x"):
            await site.get("/stream", status=400, items=items)


async def _looked(site: Site) -> None:
    """Wait until the feed has seen the present: what comes later is news."""
    await until(lambda: site.services.live.looks > 0)
