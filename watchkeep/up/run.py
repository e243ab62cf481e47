"""Starts the parts of a local installation in order, keeps them running, stops them in the other order."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from core.runtime.account import NoAccountError, account_for, hand_over
from core.runtime.logging import Log
from core.runtime.ports import free_port
from core.security.keys import KeyFault, load
from server.store.embedded import binaries
from server.store.errors import StoreError
from watchkeep.installation import Installation, write_private
from watchkeep.up.admission import await_admission
from watchkeep.up.database import keep_database, running_database
from watchkeep.up.enrolment import enrol
from watchkeep.up.faults import UpError
from watchkeep.up.layout import PROXY_NAME, SERVER_NAME, Layout, free_ports, local_agent
from watchkeep.up.parts import Backups, make_children, write_configurations
from watchkeep.up.pruning import keep_pruned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from server.store.embedded import EmbeddedPostgres
    from watchkeep.up.children import Child
    from watchkeep.up.layout import Gate

log = Log("up")

READY_SECONDS: Final = 180.0  # a slow machine that does much besides; a server that ended is told at once
USER: Final = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line asks for. `port` 0 takes any free one; without a gate, no other host's agents come in."""

    data: Path
    port: int
    gate: Gate | None = None
    ready_file: Path | None


async def run_up(wishes: Wishes) -> None:
    """Run until cancelled; everything is stopped, the database shut down, when this returns. Raises UpError."""
    layout = Layout(data=wishes.data)
    port = _choose_port(wishes.port)
    if wishes.gate is not None:
        _check_free(wishes.gate)
    try:
        layout.make()
        account = await asyncio.to_thread(account_for, layout.data, [Path(sys.executable), binaries() / "postgres"])
    except (OSError, NoAccountError, StoreError) as error:
        raise UpError(str(error)) from error
    with only_one(layout.data):
        _forget(wishes)  # one that was killed could not
        hand_over(layout.data, account)
        async with running_database(layout) as postgres:
            agent = local_agent(layout)
            ports = free_ports(port, wishes.gate)
            try:
                enrolled, backups = await asyncio.gather(
                    enrol(layout, agent, postgres.dsn),
                    asyncio.to_thread(_prepare_backups, layout, agent.name, postgres.dsn),
                )
            except (StoreError, KeyFault) as error:
                raise UpError(str(error)) from error
            write_configurations(layout, ports, agent, enrolled, postgres.dsn, backups)
            installation = Installation(dsn=postgres.dsn, url=f"http://127.0.0.1:{port}/", server=SERVER_NAME)
            installation.write(layout.data)
            hand_over(layout.data, account)
            children = make_children(layout, account.prefix)
            async with _pruning(layout, account.prefix, backups):
                await _run_children(wishes, layout, installation, children, postgres, backups.notes)


@asynccontextmanager
async def _pruning(layout: Layout, prefix: Sequence[str], backups: Backups) -> AsyncIterator[None]:
    """Prune when it is due for as long as this lasts."""
    if backups.pruner_file is None:
        yield
        return
    pruning = asyncio.create_task(keep_pruned(backups.pruner_file, prefix, layout.logs / "pruner.log"), name="pruner")
    pruning.add_done_callback(_tell_end)
    try:
        yield
    finally:
        pruning.cancel()
        await asyncio.wait([pruning])


def _tell_end(pruning: asyncio.Task[None]) -> None:
    """Say when nothing prunes any more, which is no reason for the other parts to end."""
    error = None if pruning.cancelled() else pruning.exception()
    if error is not None:
        log.crash("old backups are not deleted any more", error)


def _prepare_backups(layout: Layout, host: str, dsn: str) -> Backups:
    try:
        from watchkeep.up.backup import prepare_backups  # noqa: PLC0415 - its libraries may not be installed
    except ModuleNotFoundError as error:
        return Backups(notes=(f"off: {error.name} is not installed (pip install 'watchkeep[backup]')",))
    return prepare_backups(layout, host, dsn)


async def _run_children(
    wishes: Wishes,
    layout: Layout,
    installation: Installation,
    children: list[Child],
    postgres: EmbeddedPostgres,
    backup_notes: tuple[str, ...],
) -> None:
    try:
        server, *others = children
        await server.start()
        await _await_page(installation.url, server)
        for child in others:  # a part that finds nobody there would wait before it tries again
            if child.name == "agent":
                await await_admission(layout)
            await child.start()
        _announce(wishes, layout, installation, children, postgres, backup_notes)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_database(postgres), name="database")
            for child in children:
                tasks.create_task(child.keep(), name=child.name)
    finally:
        _forget(wishes)
        for child in reversed(children):
            await asyncio.shield(child.stop())


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder's lock. Raises UpError when somebody else has it."""
    descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UpError(
                f"{data} is in use by another `watchkeep up`: stop that one, or choose another --data"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _choose_port(wished: int) -> int:
    if not wished:
        return free_port()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wished))
        except OSError as error:
            raise UpError(f"port {wished} cannot be used ({error.strerror}): choose another with --port") from error
        return int(listener.getsockname()[1])


def _check_free(gate: Gate) -> None:
    for port in gate.ports:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((gate.address, port))
            except OSError as error:
                raise UpError(
                    f"{gate.address}:{port} cannot be used ({error.strerror}): choose another with --listen"
                ) from error


async def _await_page(url: str, server: Child) -> None:
    """Return once the page's port answers. Raises UpError with the end of the server's log when it does not."""
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        if server.process is not None and server.process.returncode is not None:
            break
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    log_end = server.log_file.read_text(errors="replace")[-2000:] if server.log_file.exists() else ""
    raise UpError(f"the server did not start; the end of {server.log_file} says:\n{log_end}")


def _announce(
    wishes: Wishes,
    layout: Layout,
    installation: Installation,
    children: list[Child],
    postgres: EmbeddedPostgres,
    backup_notes: tuple[str, ...],
) -> None:
    password = layout.password_file.read_text().strip() if layout.password_file.exists() else None
    click.echo()
    click.secho("  Watchkeep is up.", bold=True)
    click.echo(f"  Page       {click.style(installation.url, fg='cyan')}")
    if password is None:
        click.echo(f"  Log in     as {USER} with your password (forgotten? watchkeep password)")
    else:
        click.echo(f"  Log in     as {USER} with the password {click.style(password, fg='cyan')}")
    if wishes.gate is not None:
        click.echo(f"  Agents     of other hosts at {wishes.gate.address}:{wishes.gate.control_port}")
        click.echo(f"             upstream key {load(layout.key_file(PROXY_NAME)).public_text}")
        click.echo(f"  Newcomers  ask at {wishes.gate.enrolment_url} (watchkeep enrol token create)")
    click.echo(f"  Data       {layout.data}")
    for label, note in zip(("Backups", *[""] * len(backup_notes)), backup_notes, strict=False):
        click.echo(f"  {label:<10} {note}")
    click.echo("  Stop       Ctrl-C")
    click.echo()
    # Last of all: who waits for this file finds everything said that is to be said.
    if wishes.ready_file is not None:
        pids = {"up": os.getpid(), "postgres": postgres.pid} | {child.name: child.pid for child in children}
        facts = {
            "url": installation.url,
            "user": USER,
            "password": password,
            "pids": pids,
            "dsn": installation.dsn,
        }
        write_private(wishes.ready_file, json.dumps(facts, indent=1) + "\n")


def _forget(wishes: Wishes) -> None:
    if wishes.ready_file is not None:
        wishes.ready_file.unlink(missing_ok=True)
