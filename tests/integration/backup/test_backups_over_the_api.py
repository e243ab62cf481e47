"""Backups over the API: how sets stand, what lies at the target, one file brought back, nothing else let out."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from core.runtime.clock import SystemClock
from server.inventory.apply import define_host, install_shipped
from server.restoring.station import RestoreStation
from server.store.inventory import ItemDeclaration
from tests.integration.api.data import store_host, store_text, store_values
from tests.integration.api.people import sign_in_new
from tests.integration.api.site import open_site
from tests.support.waiting import until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.store.database import Database
    from tests.integration.api.data import StoredHost
    from tests.integration.api.site import Site
    from tests.support.grown_backups import Grown


@asynccontextmanager
async def restoring_site(database: Database, config: Path, scratch: Path) -> AsyncIterator[Site]:
    """The web port of a server with a restore station, the administrator signed in."""
    async with open_site(database, SystemClock(), restoring=RestoreStation(config, scratch, SystemClock())) as site:
        assert await site.sign_in() == 200
        yield site


async def ask(site: Site, method: str, path: str, headers: Any, body: Any = None) -> tuple[int, Any]:
    async with site.stranger.request(method, site.api(path), headers=headers, json=body) as answer:
        return answer.status, await answer.json()


async def finished(site: Site, identity: str, headers: Any) -> Any:
    """Return the restoration once it is done or has failed."""

    async def ended() -> Any:
        status, found = await ask(site, "GET", f"/restorations/{identity}", headers)
        assert status == 200
        return None if found["state"] == "running" else found

    return await until_found(ended, 600, "the end of the restoration")


async def reminded(site: Site) -> list[str]:
    """Return what is to be done at the restore station, once it was looked at."""

    async def told() -> list[str] | None:
        return (await site.get("/backups"))["reminders"] or None

    return await until_found(told, 600, "a reminder")


async def test_sets_stand_as_their_hosts_report_them(database: Database) -> None:
    numbers = {"status": 2.0, "age_seconds": 7200.0, "size_bytes": 5000.0, "restore_points": 3.0}
    texts = {"error": "the target is full", "kind": "incremental", "reminder": "print the sheet"}
    stored: dict[str, StoredHost] = {}
    for name in ("web1", "db1"):
        items = [f"backup.{key}[files]" for key in numbers]
        said = [ItemDeclaration(host_id=0, key=f"backup.{key}[files]", type="text") for key in texts]
        stored[name] = await store_host(database, name, *items, *said)
    now_us = time.time_ns() // 1000
    for number, (key, value) in enumerate(numbers.items(), 1):
        await store_values(database, stored["web1"], f"backup.{key}[files]", [now_us], [value], number)
    for key, text in texts.items():
        await store_text(database, stored["web1"], f"backup.{key}[files]", now_us, text)
    async with open_site(database, SystemClock()) as site:
        assert await site.sign_in() == 200
        found = await site.get("/backups")
        refused = await site.get("/backups/web1/files/points", status=409)
    (only,) = found["backups"]  # db1 has not reported anything yet
    assert (found["restores"], found["station_config"]) == (False, None)
    assert (only["host"], only["set"], only["age_seconds"], only["restore_points"]) == ("web1", "files", 7200.0, 3)
    assert only["last_run"]["status"] == "failed"
    assert (only["last_run"]["error"], only["reminder"]) == ("the target is full", "print the sheet")
    assert "restore_station" in refused["error"]["remedy"]


async def test_a_proof_is_shown_when_a_station_that_was_asked_tells_it_and_from_nobody_else(database: Database) -> None:
    numbers = {"status": 0.0, "proven_age_seconds": 3600.0, "restore_seconds": 75.0, "restored_per_second": 1e6}
    now_us = time.time_ns() // 1000
    web1 = await store_host(database, "web1", "backup.status[files]", "backup.loss_seconds[files]")
    for number, (key, value) in enumerate({"status": 0.0, "loss_seconds": 90_000.0}.items(), 1):
        await store_values(database, web1, f"backup.{key}[files]", [now_us], [value], number)
    for name in ("safe", "liar"):
        text = ItemDeclaration(host_id=0, key="drill.evidence[web1/files]", type="text")
        looks = {"status": 2.0, "verified_age_seconds": 7200.0, "lost_points": 3.0 if name == "safe" else 0.0,
                 "unlisted_points": 2.0}  # fmt: skip
        keys = [*(f"drill.{key}[web1/files]" for key in numbers), *(f"verification.{key}[web1/files]" for key in looks)]
        stored = await store_host(database, name, *keys, text)
        for number, (key, value) in enumerate(numbers.items(), 1):
            await store_values(database, stored, f"drill.{key}[web1/files]", [now_us], [value], number)
        await store_text(database, stored, "drill.evidence[web1/files]", now_us, f"12 entries, says {name}")
        for number, (key, value) in enumerate(looks.items(), 10):
            await store_values(database, stored, f"verification.{key}[web1/files]", [now_us], [value], number)
    async with open_site(database, SystemClock()) as site:
        assert await site.sign_in() == 200
        assert (await site.get("/backups"))["backups"][0]["drill"] is None
        assert (await site.get("/backups"))["backups"][0]["verification"] is None
        await install_shipped(database)
        await define_host(database, "safe", ["backup-drills", "backup-verification"], by="test")
        (shown,) = (await site.get("/backups"))["backups"]
    assert (shown["drill"]["station"], shown["drill"]["status"]) == ("safe", "proven")
    assert (shown["drill"]["evidence"], shown["drill"]["restore_seconds"]) == ("12 entries, says safe", 75.0)
    assert shown["proven_at"] == shown["drill"]["proven_at"]
    assert time.time() - datetime.fromisoformat(shown["proven_at"]).timestamp() == pytest.approx(3600, abs=120)
    assert shown["loss_seconds"] == 90_000.0
    looked = shown["verification"]
    assert (looked["station"], looked["status"], looked["lost_points"]) == ("safe", "damaged", 3.0)
    assert looked["unlisted_points"] == 2.0
    assert time.time() - datetime.fromisoformat(looked["verified_at"]).timestamp() == pytest.approx(7200, abs=120)


async def test_a_file_is_found_and_brought_back_and_nothing_but_it_gets_out(
    database: Database, grown: Grown, tmp_path: Path
) -> None:
    await store_host(database, "web1", "agent.memory")
    scratch = tmp_path / "scratch"
    station = tmp_path / "station.toml"  # with one target, a set needs no more than its name
    text = grown.site.station.read_text().replace('= "station/', f'= "{grown.site.folder}/station/')
    station.write_text(text[: text.index('[[targets]]\nname = "swift"')])
    async with restoring_site(database, station, scratch) as site:
        points = (await site.get("/backups/web1/files/points"))["points"]
        assert [point["kind"] for point in points] == ["incremental", "incremental", "full"]
        files = (await site.get("/backups/web1/files/files", at=points[2]["at"], path=grown.inside))["files"]
        assert {(each["name"], each["kind"]) for each in files} >= {("etc", "folder"), ("large.bin", "file")}
        assert "later" not in {each["name"] for each in files}

        anna, bert, eve = [await sign_in_new(site, name, role) for name, role in
                           (("anna", "operator"), ("bert", "operator"), ("eve", "viewer"))]  # fmt: skip
        wanted = {"path": f"{grown.inside}/ümlaut name", "at": points[1]["at"]}
        assert (await ask(site, "POST", "/backups/web1/files/restoration", eve, wanted))[0] == 403
        status, begun = await ask(site, "POST", "/backups/web1/files/restoration", anna, wanted)
        assert (status, begun["state"]) == (202, "running")
        assert (await finished(site, begun["id"], anna))["state"] == "done"
        async with site.stranger.get(site.api(f"/restorations/{begun['id']}/file"), headers=anna) as answer:
            assert answer.status == 200
            assert await answer.read() == (grown.looks[1] / "ümlaut name").read_bytes()
            assert answer.headers["Content-Disposition"] == (
                "attachment; filename=\"_mlaut name\"; filename*=UTF-8''%C3%BCmlaut%20name"
            )
        assert (await ask(site, "GET", f"/restorations/{begun['id']}", bert))[0] == 404

        for path, reason in (("etc/motd", "it is a link"), ("etc", "it is a folder"), ("nowhere", "not in")):
            body = wanted | {"path": f"{grown.inside}/{path}"}
            _, begun = await ask(site, "POST", "/backups/web1/files/restoration", anna, body)
            failed = await finished(site, begun["id"], anna)
            assert (failed["state"], reason in failed["error"]) == ("failed", True), failed
            assert (await ask(site, "GET", f"/restorations/{begun['id']}/file", anna))[0] == 409
        for path in ("../../etc/shadow", f"{grown.inside}/../../../etc/shadow"):
            body = wanted | {"path": path}
            assert (await ask(site, "POST", "/backups/web1/files/restoration", anna, body))[0] == 400
        assert any("escrow sheet" in text for text in await reminded(site))
        audit = (await site.get("/audit", action="backup.restore"))["entries"]
        assert {(entry["actor"], entry["object"]) for entry in audit} == {("anna", "web1/files")}
        assert [each.name for each in scratch.iterdir() if each.name != begun["id"]]
    assert not scratch.exists()
