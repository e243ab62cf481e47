"""A host of a test's own, whose one item it publishes, and who is told when it is too high."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from core.wire.curve import load_or_create
from tests.integration.media.receiver import open_receiver
from tests.support.emitting import emitting
from tests.support.waiting import until, wait_until
from tests.system.installation import watchkeep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.media.receiver import WebhookReceiver
    from tests.support.api import Api
    from tests.support.emitting import Emitter
    from tests.system.installation import LocalWatchkeep

ITEM: Final = "shop.orders"
PROBLEM: Final = "Too many orders wait"


@dataclass(frozen=True)
class Shop:
    """The host `shop`; more than 100 orders are a problem of severity high."""

    emitter: Emitter
    receiver: WebhookReceiver
    item: int

    def told(self) -> list[str]:
        """What was told, each notice once: one whose answer came late is sent again, under its old key."""
        notices = {notice.key: notice for notice in self.receiver.received}
        return [json.loads(notice.body)["event"] for notice in notices.values()]


@asynccontextmanager
async def open_shop(running: LocalWatchkeep, folder: Path) -> AsyncIterator[Shop]:
    """Define template, receiver and host by files, let the source in by the command, publish a first value."""
    api = await asyncio.to_thread(running.api)
    source, keys = uuid4(), load_or_create(folder / "key")
    async with open_receiver() as receiver:
        definitions = folder / "shop.yaml"
        definitions.write_text(
            f"kind: template\nname: shop\nitems:\n  - {{item: {ITEM}}}\ntriggers:\n"
            f"  - {{name: {PROBLEM}, expression: last({ITEM}) > 100, severity: high}}\n"
            f'---\nkind: receiver\nname: till\nwebhook: {{url: "{receiver.url()}", allow_private: true}}\n'
        )
        for command in (
            ("apply", "--overwrite", str(definitions)),
            ("key", "allow", "--role=agent", "--name=shop", f"--source={source}", "--template=shop", keys.public_text),
        ):
            done = await asyncio.to_thread(watchkeep, *command, "--data", str(running.data))
            assert done.returncode == 0, done.stderr + done.stdout
        async with emitting(
            folder, name="shop", source=source, keys=keys, upstreams=[running.proxy()]
        ) as emitter:  # fmt: skip
            emitter.publish({ITEM: 5})
            await until(lambda: emitter.unstored == 0, 120, "the first value's storing")
            items = (await asyncio.to_thread(api.get, "/items", host="shop"))["items"]
            (item,) = [item for item in items if item["key"] == ITEM]
            yield Shop(emitter, receiver, item["id"])
            emitter.publish({ITEM: 5})  # whatever happened: the problem ends with the test
            await until(lambda: emitter.unstored == 0, 120, "the last value's storing")
            await asyncio.to_thread(wait_until, lambda: is_over(api), 120, "the last notice")
        ended = await asyncio.to_thread(watchkeep, "key", "revoke", "--data", str(running.data), "--", keys.public_text)
        assert ended.returncode == 0, ended.stderr  # a doctor asked later shall not miss it


def is_over(api: Api) -> bool:
    """Tell whether the shop's problem has ended, and everybody got the notices about those it had."""
    if any(problem["name"] == PROBLEM for problem in api.get("/problems", host="shop")["problems"]):
        return False
    problems = api.get("/problems", state="all", host="shop")["problems"]
    return all(notice["state"] == "sent" for problem in problems for notice in problem["told"])
