"""A real Keystone in one process, on a loopback port of its own: accounts, tokens and catalogue in a folder.

`python -m tests.support.keystone_process FOLDER PORT_FILE TOKEN_SECONDS` makes database and keys in FOLDER, serves
until it is ended, and writes its port to the file once it answers. Each token it gives is a line in FOLDER/logins.
"""

from __future__ import annotations

import getpass
import grp
import multiprocessing
import os
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

if TYPE_CHECKING:
    from types import ModuleType

ADMIN, PASSWORD = "admin", "admin-password"

_CONFIGURATION: Final = """
[DEFAULT]
use_stderr = true
default_log_levels = keystone=ERROR,alembic=WARNING,sqlalchemy=WARNING
[database]
connection = sqlite:///{folder}/keystone.db
[token]
expiration = {seconds}
[fernet_tokens]
key_repository = {folder}/tokens
[fernet_receipts]
key_repository = {folder}/tokens
[credential]
key_repository = {folder}/credentials
[identity]
password_hash_algorithm = bcrypt
password_hash_rounds = 4
[oslo_policy]
enforce_scope = false
"""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Say nothing."""


def serve(folder: Path, port_file: Path, seconds: int) -> None:
    """Serve until the process is ended."""
    file = folder / "keystone.conf"
    file.write_text(_CONFIGURATION.format(folder=folder, seconds=seconds))
    for name in ("tokens", "credentials"):
        (folder / name).mkdir(mode=0o700)
    server = make_server("127.0.0.1", 0, _answer_nothing, server_class=_Server, handler_class=_Quiet)
    url = f"http://127.0.0.1:{server.server_port}/v3"
    sys.argv = ["keystone"]  # it reads the command line when it is imported
    from keystone.cmd import cli  # type: ignore[import-untyped]  # it ships no types  # noqa: PLC0415 - after the command line is cleared
    from keystone.server.flask import core  # type: ignore[import-untyped]  # no types  # noqa: PLC0415 - as above

    # What made the tables cannot serve; a fork, so that the two seconds of importing are spent once.
    making = multiprocessing.get_context("fork").Process(target=_bootstrap, args=(cli, file, url))
    making.start()
    making.join()
    if making.exitcode:
        sys.exit(f"Keystone's tables and keys could not be made: {making.exitcode}")

    application = core.initialize_application(name="public", config_files=[str(file)])
    logins = (folder / "logins").open("a", buffering=1)

    def answer(environment: dict[str, Any], start_response: Any) -> Any:
        if environment["REQUEST_METHOD"] == "POST" and environment["PATH_INFO"].endswith("/auth/tokens"):
            logins.write("token\n")
        return application(environment, start_response)

    server.set_app(answer)
    waiting = port_file.with_suffix(".new")
    waiting.write_text(str(server.server_port))
    waiting.rename(port_file)
    server.serve_forever()


def _bootstrap(cli: ModuleType, file: Path, url: str) -> None:
    """Make tables, keys, and the administrator, as `keystone-manage` does it."""
    manage = ["keystone-manage", "--config-file", str(file)]
    ours = ["--keystone-user", getpass.getuser(), "--keystone-group", grp.getgrgid(os.getgid()).gr_name]
    for arguments in (
        ["db_sync"],
        ["fernet_setup", *ours],
        ["credential_setup", *ours],
        [
            "bootstrap", "--bootstrap-username", ADMIN, "--bootstrap-password", PASSWORD,
            "--bootstrap-public-url", url, "--bootstrap-internal-url", url, "--bootstrap-region-id", "here",
        ],
    ):  # fmt: skip
        cli.main(argv=[*manage, *arguments], developer_config_file=str(file))
        cli.CONF.reset()


def _answer_nothing(_: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return []


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
