"""Serves the built page's files: hashed names are kept for ever, the page itself is asked for anew each time."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ASSETS: Final = Path(__file__).parent / "assets"
_HASHED: Final = re.compile(r"assets/.+-[\w-]{8}\.\w+")  # as vite names what it bundles
_COMPRESSED: Final = frozenset({".html", ".js", ".css", ".svg", ".json", ".webmanifest", ".txt", ".map"})
_NOT_BUILT: Final = (
    "The page has not been built into this checkout. Run `make setup`, then start Watchkeep again.\n"
    "The REST API works without it: /api/v1/openapi.json\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One file, ready to be sent."""

    body: bytes
    compressed: bytes | None
    media: str
    tag: str
    is_hashed: bool


def serve_pages(folder: Path = ASSETS) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Read the built page into memory and return the handler that serves it.

    A request's path is only ever looked up among the files found now, so no path leads out of the folder. Paths
    that name no file get the page, which finds its way by the address (also after a reload); file names and
    anything but GET and HEAD get an error instead. A folder without a page is answered with what to do (503).
    """
    pages = _read(folder)

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
            raise web.HTTPMethodNotAllowed(request.method, {hdrs.METH_GET, hdrs.METH_HEAD})
        path = request.path.removeprefix("/")
        page = pages.get(path)
        if page is None:
            if "." in path.rpartition("/")[2] or path.startswith("assets/"):
                raise web.HTTPNotFound(text="There is no such file.\n")
            page = pages.get("index.html")
        if page is None:
            return web.Response(status=503, text=_NOT_BUILT)
        return _answer(request, page)

    return serve


def _read(folder: Path) -> dict[str, Page]:
    root = folder.resolve()
    if not root.is_dir():
        return {}
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.resolve().is_relative_to(root))
    return {path.relative_to(root).as_posix(): _load(root, path) for path in files}


def _load(root: Path, path: Path) -> Page:
    body = path.read_bytes()
    media, _ = mimetypes.guess_type(path.name)
    return Page(
        body=body,
        compressed=gzip.compress(body, 9, mtime=0) if path.suffix in _COMPRESSED and len(body) > 1024 else None,
        media=media or "application/octet-stream",
        tag=hashlib.sha256(body).hexdigest()[:32],
        is_hashed=_HASHED.fullmatch(path.relative_to(root).as_posix()) is not None,
    )


def _answer(request: web.Request, page: Page) -> web.Response:
    headers = {
        hdrs.CACHE_CONTROL: "public, max-age=31536000, immutable" if page.is_hashed else "no-cache",
        hdrs.ETAG: f'"{page.tag}"',
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
    }
    if any(tag.value == page.tag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = page.media + ("; charset=utf-8" if page.media.startswith("text/") else "")
    if page.compressed is not None and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        return web.Response(body=page.compressed, headers=headers | {hdrs.CONTENT_ENCODING: "gzip"})
    return web.Response(body=page.body, headers=headers)
