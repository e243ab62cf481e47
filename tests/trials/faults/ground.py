"""The ground of the fault trials: a stack under load whose parts each have a small disk, one server, a real agent."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import numpy as np
import psycopg

from tests.support.api import Api
from tests.support.small_disk import small_disk
from tests.trials.judging import Ledger
from tests.trials.site import POSTGRES, PROXIES, SOURCES
from tests.trials.stack import running_stack, until_true
from watchkeep.installation import Installation
from watchkeep.up.layout import toml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from numpy.typing import NDArray

    from tests.support.small_disk import SmallDisk
    from tests.trials.stack import Stack

SERVER: Final = "server1"
AGENT: Final = "agent"
LOADED: Final = "source1"
"""The source whose counters the ledger names."""
WATCHED: Final = "source2"
"""The host that the real agent watches."""
DISKS: Final[Mapping[str, tuple[str, int]]] = {
    "proxy1": ("proxy1", 48),
    "proxy2": ("proxy2", 48),
    AGENT: ("agent", 16),
    POSTGRES: ("database", 320),
}
_AGENT_TEMPLATE: Final = """
kind: template
name: busy
items:
  - {{probe: cpu, every: 1s}}
  - {{probe: agent, every: 1s}}
triggers:
  - name: Values were lost
    expression: last(agent.lost_values) > 0 or last(agent.dropped_records) > 0
    severity: average
---
kind: host
name: {host}
templates: [busy]
"""
PATIENCE_SECONDS: Final = 180.0
_STORED: Final = """
SELECT coalesce(array_agg(s.value::int8), '{}') FROM samples s
JOIN item i ON i.id = s.item_id JOIN host h ON h.id = i.host_id WHERE h.name = %s AND i.key = %s
"""


@dataclass
class Ground:
    """What the trials stand on. `api` asks the server; it was signed in while all was well."""

    stack: Stack
    disks: Mapping[str, SmallDisk]
    api: Api

    @property
    def installation(self) -> Path:
        """A folder for `watchkeep … --data`."""
        return self.stack.site.folder

    def log(self, part: str) -> str:
        return self.stack.parts[part].log_file.read_text(errors="replace")

    async def says(self, part: str, text: str, since: int, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the part's log says something after its first `since` characters."""

        async def look() -> bool:
            assert self.stack.parts[part].is_running, f"{part} has ended:\n{self.log(part)[-2000:]}"
            return text in self.log(part)[since:]

        await until_true(look, timeout_seconds, f"{text!r} in the log of {part}")

    async def rests(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the server has its database: what it has said of an outage it does not say again."""

        async def look() -> bool:
            log = self.log(SERVER)
            return log.rfind("the database is away") <= log.rfind("the database is back")

        await until_true(look, timeout_seconds, "the database's return")

    def all_live(self) -> bool:
        """Tell whether every part still is the process that was started."""
        return all(part.is_running and part.starts == 1 for name, part in self.stack.parts.items() if name != "server2")

    async def holds(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Watch for so long that it stays true."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            assert condition(), what
            await asyncio.sleep(0.05)

    async def ask(self, path: str, /, **query: Any) -> Any:
        """Return what the server answers; asked again while it, or its database, is not back yet."""
        whole = f"{path}?{urlencode(query)}" if query else path
        told: list[Any] = []

        async def look() -> bool:
            try:
                told[:] = await asyncio.to_thread(self.api.send, "GET", whole)
            except OSError as error:  # also URLError, and an answer that does not come
                told[:] = [0, str(error)]
            return bool(told[0] == 200)

        try:
            await until_true(look, PATIENCE_SECONDS, f"an answer of {whole}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {told}") from None
        return told[1]

    async def health(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.ask("/health")
        return found

    async def counter(self, part: str, name: str) -> float:
        """Return a counter of a part as the health page shows it; 0 when it, or the part, is not there (yet)."""
        found = [each["counters"] for each in (await self.health())["parts"] if each["name"] == part]
        return sum(float(counters.get(name, 0)) for counters in found)

    async def counted(self, part: str, name: str, least: float = 1, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the health page counts so many; proxies report every ten seconds."""

        async def look() -> bool:
            return await self.counter(part, name) >= least

        await until_true(look, timeout_seconds, f"{name} of {part} on the health page")

    async def database_back(self) -> None:
        """Wait until the database takes connections; one that gave up is started again."""

        async def look() -> bool:
            if not self.stack.postgres.is_alive():
                await self.stack.start(POSTGRES)
            try:
                await self.stack.query("SELECT 1")
            except psycopg.OperationalError:
                return False
            return True

        await until_true(look, PATIENCE_SECONDS, "the database")

    async def open_problems(self) -> set[str]:
        """Return the names of the open problems."""
        found = await self.ask("/problems", state="open")
        return {problem["name"] for problem in found["problems"]}

    async def raised(self, problem: str, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a problem is open."""

        async def look() -> bool:
            return problem in await self.open_problems()

        await until_true(look, timeout_seconds, f"the problem {problem!r}")

    async def ended(self, problem: str, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a problem is over."""

        async def look() -> bool:
            return problem not in await self.open_problems()

        await until_true(look, timeout_seconds, f"the end of {problem!r}")

    async def refused(self, kind: str) -> int:
        """Return how often the server refused something of a kind, by the health page."""
        return sum(each["count"] for each in (await self.health())["refusals"] if each["kind"] == kind)

    async def nothing_lost(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every counter that the ledger names now is stored; fail when one is stored twice."""
        wanted = Ledger.read(self.stack.plan.ledger_file(LOADED)).counters
        stored = np.zeros(0, np.int64)

        async def look() -> bool:
            nonlocal stored
            try:
                stored = await self._stored()
            except psycopg.OperationalError:
                return False
            return len(np.setdiff1d(wanted, stored)) == 0

        await until_true(look, timeout_seconds, "the storing of all that was appended")
        assert len(stored) == len(np.unique(stored)), "stored twice"
        assert len(wanted) > 10

    async def loaded(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until values of the load are in the store, more than `nothing_lost` asks for."""

        async def look() -> bool:
            return len(await self._stored()) > 10

        await until_true(look, timeout_seconds, "values of the load")

    async def _stored(self) -> NDArray[np.int64]:
        """Return the counters of the load's first item that are in the store, one for each time they are."""
        ((values,),) = await self.stack.query(_STORED, (LOADED, self.stack.plan.item_keys[0]))
        return np.array(values, np.int64)


@asynccontextmanager
async def rough_ground() -> AsyncIterator[Ground]:
    """Start everything; values flow and the agent is heard when this yields. All ends with the block."""
    with ExitStack() as opened:
        folder = Path(tempfile.mkdtemp(prefix="watchkeep-faults-"))
        folder.chmod(0o711)  # noqa: ASYNC240 - nothing else runs yet
        opened.callback(shutil.rmtree, folder)
        disks = {
            part: opened.enter_context(small_disk(folder / place, size_mib=size))
            for part, (place, size) in DISKS.items()
        }
        async with running_stack(
            folder=folder, sources=2, has_load=False, counters=250, batches_per_second=20
        ) as stack:
            await stack.parts["server2"].stop()
            stack.plan = replace(stack.plan, sources=stack.plan.sources[:1])
            stack.plan.write(stack.site.config_file(SOURCES))
            Installation(dsn=stack.dsn, url="", server=SERVER).write(folder)
            await _start_agent(stack)
            await stack.start(SOURCES)
            await stack.active()
            await stack.flowing()
            api = Api(f"http://127.0.0.1:{stack.site.ports[f'{SERVER} web']}/")
            assert await asyncio.to_thread(api.sign_in, "admin", stack.password) == 200
            definitions = folder / "busy.yaml"
            definitions.write_text(_AGENT_TEMPLATE.format(host=WATCHED))
            await command("apply", "--overwrite", str(definitions), "--data", str(folder))
            ground = Ground(stack, disks, api)
            await ground.loaded()
            yield ground


async def _start_agent(stack: Stack) -> None:
    name, source = stack.site.sources[1]
    assert name == WATCHED
    settings: dict[str, Any] = {
        "name": name,
        "source": source,
        "data": stack.site.folder / "agent",
        "key_file": stack.plan.key_file(name),
        "upstreams": [{"endpoint": stack.site.endpoint(p), "key": stack.site.public_key(p)} for p in PROXIES],
    }
    stack.site.config_file(AGENT).write_text(toml(settings))
    await stack.add(AGENT, "-m", "agent", "--config", str(stack.site.config_file(AGENT))).start()


async def command(*arguments: str) -> str:
    """Run a command of ours that has to work; return what it printed."""
    from tests.system.installation import watchkeep  # noqa: PLC0415 - its module needs no stack

    done = await asyncio.to_thread(watchkeep, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
