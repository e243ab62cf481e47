"""The API under generated requests (schemathesis): no status over 499, nothing that its description does not say."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.store.database import Database
from server.store.migrate import migrate
from tests.integration.api.ground import open_ground
from tests.integration.api.people import sign_in_new
from tests.support.postgres import embedded_server, patient
from tests.trials.finding import Finding

if TYPE_CHECKING:
    from tests.integration.api.people import Headers
    from tests.integration.api.site import Site

_SHORT_SECONDS: Final = 14
_LONG_SECONDS: Final = 600
_STREAM: Final = "/api/v1/stream"  # it does not end; the tests of the stream speak about it
_SIGN_OUT: Final = "sign_out"  # what comes after it would be a stranger's
_CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"
)
_COUNT: Final = re.compile(r"(\d+) generated")

# Requests are also made of names that answers told, so an administrator would soon remove himself.
_KEEP: Final = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON account FOR EACH ROW WHEN (OLD.name = 'asking') EXECUTE FUNCTION keep();
"""


async def run(*, is_long: bool) -> list[Finding]:
    """Ask everything as an administrator and as a viewer, each over a database of its own."""
    seconds = _LONG_SECONDS if is_long else _SHORT_SECONDS
    with embedded_server() as server:
        findings = []
        for role in ("administrator", "viewer"):
            with server.fresh_database() as dsn:
                options = patient(dsn, "web")
                await migrate(options)
                async with Database(options, purpose="web") as database, open_ground(database) as ground:
                    headers = await sign_in_new(ground.site, "asking", role)
                    async with database.connection() as connection:
                        await connection.execute(_KEEP)
                    findings.append(await _fuzz(ground.site, role, headers, seconds))
        return findings


async def _fuzz(site: Site, role: str, headers: Headers, seconds: int) -> Finding:
    arguments = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", "/dev/null", "run",
        site.api("/openapi.json"), "--max-time", str(seconds), "--checks", _CHECKS, "--no-color",
        "--exclude-path", _STREAM, "--exclude-operation-id", _SIGN_OUT, "--phases", "coverage,fuzzing",
        "--max-examples", "1000000", "--generation-database", "none", "--continue-on-failure",
        "--generation-with-security-parameters", "false", "--request-timeout", "30",
        "--suppress-health-check", "all", "--warnings", "off", "--output-truncate", "false",
    ]  # fmt: skip
    for name, value in headers.items():
        arguments += ["--header", f"{name}:{value}"]
    child = await asyncio.create_subprocess_exec(
        *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(seconds * 4 + 120):
            output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    text = output.decode(errors="replace")
    generated = _COUNT.search(text)
    await _still_in(site, headers)
    return Finding(
        trial="api",
        injected=f"{seconds} s of generated requests as {role}",
        required="no 5xx, no answer that the OpenAPI document does not describe",
        found=f"{generated[1] if generated else '?'} requests",
        faults=[] if child.returncode == 0 else text.splitlines(),
    )


async def _still_in(site: Site, headers: Headers) -> None:
    """The requests came from somebody signed in until the end: else they would have shown little."""
    async with site.stranger.get(site.api("/session"), headers=headers) as answer:
        assert answer.status == 200, "the trial's own user was lost"
