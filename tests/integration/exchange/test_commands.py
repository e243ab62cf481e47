"""`watchkeep history export` and `import`, as typed."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from tests.integration.api.data import define, store_host, store_values
from tests.integration.exchange.test_round_trip import everything, fill
from watchkeep.__main__ import cli
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from click.testing import Result

    from server.store.database import Database


async def run(database: Database, folder: Path, *arguments: str, given: bytes | None = None) -> Result:
    """Run the command in a thread: it has an event loop of its own."""
    Installation(dsn=database.options.dsn, url="", server="one").write(folder)
    return await asyncio.to_thread(CliRunner().invoke, cli, ["history", *arguments, "--data", str(folder)], input=given)


async def test_a_compressed_file_goes_out_and_comes_in(databases: tuple[Database, Database], tmp_path: Path) -> None:
    source, target = databases
    await fill(source, 500)
    expected = await everything(source)
    total = sum(len(samples) for samples in expected.values())
    file = tmp_path / "all.jsonl.gz"
    out = await run(source, tmp_path, "export", str(file))
    assert (out.exit_code, out.stderr) == (0, f"{total} samples of 8 items\n")
    assert not Path(f"{file}.part").exists()  # noqa: ASYNC240 - one look
    assert len(gzip.decompress(file.read_bytes()).splitlines()) == total
    told = await run(target, tmp_path, "import", str(file), "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["stored"] == total
    assert await everything(target) == expected


async def test_standard_output_and_input_and_what_is_refused(
    databases: tuple[Database, Database], tmp_path: Path
) -> None:
    source, target = databases
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    host = await store_host(source, "db1", "cpu.busy", "load.1m")
    at_us = int(at.timestamp()) * 1_000_000
    await store_values(source, host, "cpu.busy", [at_us], [1.5])
    await store_values(source, host, "load.1m", [at_us], [2.5], number=2)
    out = await run(source, tmp_path, "export", "--item", "cpu.*", "--from", "4d", "--format", "csv", "-")
    assert (out.exit_code, out.stdout.splitlines()[1:]) == (
        0,
        [f"db1,cpu.busy,number,,{at:%Y-%m-%dT%H:%M:%S}.000000Z,1.5,false"],
    )
    await define(target, {"kind": "host", "name": "db1", "retention": [{"items": "cpu.*", "history": "2d"}]})
    told = await run(target, tmp_path, "import", "--format", "csv", "-", given=out.stdout_bytes)
    assert (told.exit_code, told.stdout) == (1, "")
    assert (
        told.stderr
        == "0 stored, 0 known before\n1 items and 0 hosts were made\n1 refused: older than their items are kept\n"
    )


async def test_faults_are_told_with_their_place_and_a_broken_file_with_its_reason(
    databases: tuple[Database, Database], tmp_path: Path
) -> None:
    target, _ = databases
    wrong = b"host,item,at,value\ndb1,x.y,2026-11-21T00:00:00Z,1\ndb1,x.y,2026-11-21T00:00,1\n"
    told = await run(target, tmp_path, "import", "--format", "csv", "-", given=wrong)
    assert told.exit_code == 2
    assert told.stderr.startswith("-:3: at: expected an instant")
    assert told.stderr.endswith("nothing was stored\n")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(wrong * 1000)[:-20])
    for file, said in (
        (str(cut), "cannot be read to its end"),
        (str(tmp_path / "none.csv"), "No such file"),
        (str(tmp_path / "a.xml"), "does not say the form"),
    ):
        told = await run(target, tmp_path, "import", file)
        assert (told.exit_code, said in told.stderr) == (2, True), told.stderr
    told = await run(target, tmp_path, "export", "--from", "yesterday", str(tmp_path / "all.csv"))
    assert (told.exit_code, 'like "7d"' in told.stderr) == (2, True)
    assert await everything(target) == {}
