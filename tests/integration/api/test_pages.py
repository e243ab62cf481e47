"""The built page's files over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from yarl import URL

from core.runtime.clock import SystemClock
from dashboards.serving import serve_pages
from server.api.security import CONTENT_SECURITY_POLICY
from tests.integration.api.site import open_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.store.database import Database
    from tests.integration.api.site import Site

INDEX = "<!doctype html><title>Watchkeep</title>" + " " * 2000


@pytest.fixture
async def pages(tmp_path: Path, database: Database) -> AsyncIterator[Site]:
    """A site whose page has an index, a hashed script and a secret beside its folder, linked into it too."""
    folder = tmp_path / "built"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets" / "index-a1B2c3D4.js").write_text("let x = 1;")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    async with open_site(database, SystemClock(), pages=serve_pages(folder)) as site:
        yield site


async def test_the_page_is_asked_for_anew_and_answered_not_modified(pages: Site) -> None:
    async with pages.stranger.get(pages.url("/")) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert answer.content_type == "text/html"
        assert await answer.text() == INDEX
        tag = answer.headers["ETag"]
    async with pages.stranger.get(pages.url("/"), headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304


async def test_files_with_a_hash_in_their_name_are_kept_for_ever(pages: Site) -> None:
    async with pages.stranger.get(pages.url("/assets/index-a1B2c3D4.js")) as answer:
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.content_type == "text/javascript"
    async with pages.stranger.get(pages.url("/favicon.svg")) as answer:
        assert answer.headers["Cache-Control"] == "no-cache"


async def test_an_address_inside_the_page_gets_the_page_and_a_missing_file_does_not(pages: Site) -> None:
    async with pages.stranger.get(pages.url("/hosts/db1")) as answer:
        assert await answer.text() == INDEX
    for missing in ("/assets/index-00000000.js", "/nothing.css", "/assets/", "/assets/old"):
        async with pages.stranger.get(pages.url(missing)) as answer:
            assert answer.status == 404, missing
    async with pages.stranger.get(pages.url("/api/v1/nothing")) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/json"
    async with pages.stranger.post(pages.url("/"), data=b"x") as answer:
        assert answer.status == 405


@pytest.mark.trial("S-8")
async def test_no_path_leads_out_of_the_folder(pages: Site) -> None:
    port = pages.server.port
    for path in (
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/%2e%2e%2f%2e%2e%2fsecret.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/..\\secret.txt",
        "/link.txt",
        "/secret.txt%00.js",
    ):
        url = URL(f"http://127.0.0.1:{port}{path}", encoded=True)
        async with pages.stranger.get(url) as answer:
            said = await answer.text()
            assert "secret" not in said, path
            assert "root:" not in said, path


async def test_without_a_built_page_the_answer_says_what_to_do(tmp_path: Path, database: Database) -> None:
    async with (
        open_site(database, SystemClock(), pages=serve_pages(tmp_path / "missing")) as site,
        site.stranger.get(site.url("/")) as answer,
    ):
        assert answer.status == 503
        assert "make setup" in await answer.text()
