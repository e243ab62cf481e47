"""`watchkeep-agent join`: makes a machine known to an installation with one command, then samples it."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from agent.asking import DEFAULT_PORT, Trouble, ask, read_address, their_clock_seconds
from agent.greeting import SOFTWARE
from agent.joined import FolderFault, configuration_of, prepare, settle
from core.security.enrolment import (
    MAX_CLOCK_SECONDS,
    EnrolmentFault,
    Signed,
    fingerprint,
    is_answer_to,
    is_host_name,
    pack,
    read_admission,
    read_token,
    sign_request,
    unpack,
)
from core.security.keys import KeyFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.asking import Address
    from agent.joined import Asked
    from core.security.enrolment import (
        Admission,
        Token,
    )

UNUSABLE: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
REFUSED: Final = 4
NOT_PROVEN: Final = 5
WRONG_CLOCK: Final = 6
NOT_APPROVED: Final = 7
INTERRUPTED: Final = 130  # as a shell says it of a program ended by Ctrl-C

POLL_SECONDS = 2.0
_EPILOG: Final = """\
examples:
  watchkeep-agent join http://watchkeep.example:7704 wk-…        by a token an administrator made
  watchkeep-agent join http://watchkeep.example:7704             ask, and wait until an administrator approves
  watchkeep-agent join … --no-start                              join only; start it by your supervisor

The key pair is made on this machine; its secret and the token's never leave it. Run again in a folder that has
joined, it just starts the agent.

exit codes: 1 folder or key cannot be used, 2 wrong words, 3 nobody answers, 4 refused (used, expired, revoked, name
taken), 5 the answer was not made by who made the token, 6 this machine's clock is wrong, 7 not approved in time or
fingerprints differ; else as `watchkeep-agent --config`.
"""


class _Stop(Exception):
    """Joining ends here: exit code, what is wrong, what to do."""

    def __init__(self, code: int, message: str, remedy: str) -> None:
        super().__init__(f"{message}: {remedy}")
        self.code = code


@dataclass(frozen=True, kw_only=True)
class _Wishes:
    address: Address
    token: Token | None
    folder: Path
    name: str
    fingerprint: str | None
    wait_seconds: float


def main(arguments: Sequence[str]) -> int:
    """Join and become the agent; returns an exit code when it does not come to that, 0 with --no-start."""
    chosen = _parser().parse_args(arguments)
    folder: Path = (chosen.data or default_folder()).absolute()
    configuration = configuration_of(folder)
    try:
        if configuration is not None:
            _say(f"{folder} has joined already.")
        else:
            configuration = _join(_read_wishes(chosen, folder))
    except _Stop as stop:
        sys.stderr.write(f"watchkeep-agent: {stop}\n")
        return stop.code
    except (FolderFault, KeyFault) as error:
        sys.stderr.write(f"watchkeep-agent: {error}\n")
        return UNUSABLE
    except KeyboardInterrupt:
        _say("\nNot joined. The same command goes on where it was.")
        return INTERRUPTED
    if not chosen.no_start:
        _start(configuration)
    _say(f"Start it with: watchkeep-agent --config {configuration}")
    return 0


def default_folder() -> Path:
    """Return where an agent keeps its data unless told otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/watchkeep/agent")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "watchkeep-agent"


def _start(configuration: Path) -> NoReturn:
    _say("The agent starts; Ctrl-C stops it, and the same command starts it again.")
    # Anew, so that it carries nothing of what joining needed; -P: no module of the present folder is taken for ours.
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    words = [sys.executable, "-P", "-m", "agent", "--config", str(configuration)]
    os.execve(sys.executable, words, environment)  # noqa: S606 - ourselves, no shell


def _read_wishes(chosen: argparse.Namespace, folder: Path) -> _Wishes:
    try:
        address = read_address(chosen.url)
        token = None if chosen.token is None else read_token(chosen.token)
    except (ValueError, EnrolmentFault) as error:
        raise _Stop(
            USAGE, str(error), "copy the command from the page, or from `watchkeep enrol token create`"
        ) from error
    name = chosen.name or _own_name()
    if not is_host_name(name):
        raise _Stop(USAGE, f"no host can be called {name!r}", "name it with --name: letters, digits, dots, dashes")
    return _Wishes(
        address=address,
        token=token,
        folder=folder,
        name=name,
        fingerprint=chosen.fingerprint,
        wait_seconds=chosen.wait,
    )


def _own_name() -> str:
    name = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in socket.gethostname()
    )
    return name.strip("._-")[:128].strip("._-") or "localhost"


def _join(wishes: _Wishes) -> Path:
    token = wishes.token
    asked = prepare(wishes.folder, name=wishes.name, token=None if token is None else token.id, software=SOFTWARE)
    request = Signed(text=asked.text) if token is None else sign_request(token, asked.text)
    deadline = time.monotonic() + wishes.wait_seconds
    try:
        _check_clock(wishes.address)
        answer = _ask_until_decided(wishes, asked, request, deadline)
    except Trouble as trouble:
        raise _Stop(UNREACHABLE if trouble.is_passing else REFUSED, trouble.message, trouble.remedy) from trouble
    admission = _believe(wishes, asked, answer)
    configuration = settle(wishes.folder, admission, wishes.address.host)
    _say(f"This machine is {admission.name} from now on; its data is in {wishes.folder}.")
    return configuration


def _check_clock(address: Address) -> None:
    """Refuse before a token is used up: with a wrong clock every value would bear a wrong instant."""
    off_by = time.time() - their_clock_seconds(address)
    if abs(off_by) > MAX_CLOCK_SECONDS:
        direction = "ahead of" if off_by > 0 else "behind"
        raise _Stop(
            WRONG_CLOCK,
            f"this machine's clock is {abs(off_by):.0f} s {direction} the server's",
            "set it (timedatectl set-ntp true), then run the command again; nothing was used up",
        )


def _ask_until_decided(wishes: _Wishes, asked: Asked, request: Signed, deadline: float) -> bytes:
    is_told = False
    while True:
        try:
            status, body = ask(wishes.address, pack(request))
        except Trouble as trouble:
            if not trouble.is_passing or time.monotonic() + trouble.wait_seconds > deadline:
                raise
            time.sleep(trouble.wait_seconds)
            continue
        if status == 200:
            return body
        if wishes.token is not None:
            raise _Stop(NOT_PROVEN, "the answer is none to a token", "ask for the right address of the server")
        if not is_told:
            _say(
                f"Waiting for an administrator to approve {wishes.name}.\n"
                f"  This machine's key   {fingerprint(asked.newcomer.key)}\n"
                f"It stands under `watchkeep enrol requests` there, and on the page."
            )
            is_told = True
        if time.monotonic() + POLL_SECONDS > deadline:
            raise _Stop(NOT_APPROVED, "nobody approved this machine in time", "run the command again when one is there")
        time.sleep(POLL_SECONDS)


def _believe(wishes: _Wishes, asked: Asked, body: bytes) -> Admission:
    """Return what the answer says once it is sure who made it."""
    try:
        answer = unpack(body)
        if wishes.token is not None and not is_answer_to(wishes.token, asked.text, answer):
            raise _Stop(
                NOT_PROVEN,
                "the answer was not made with this token: somebody between here and the server may change what is said",
                "tell an administrator, and do not use this token again",
            )
        admission = read_admission(answer.text)
    except EnrolmentFault as error:
        raise _Stop(
            NOT_PROVEN, f"the answer is not understood ({error})", "use the same version here and there"
        ) from error
    if admission.source != asked.newcomer.source:
        raise _Stop(NOT_PROVEN, "the answer is to somebody else", "run the command again")
    if wishes.token is None:
        _compare(wishes, fingerprint(*(way.key for way in admission.ways)))
    return admission


def _compare(wishes: _Wishes, found: str) -> None:
    """Without a token only people can tell that nobody in between answered instead of the server."""
    expected = wishes.fingerprint
    remedy = "do not join: somebody between here and the server answers in its place; tell an administrator"
    if expected is not None:
        if expected.replace("-", "").lower() != found.replace("-", ""):
            raise _Stop(NOT_APPROVED, f"the server's fingerprint is {found}, not the one that was expected", remedy)
        return
    if not sys.stdin.isatty():
        raise _Stop(
            NOT_APPROVED,
            f"approved, but nobody compared the server's fingerprint {found}",
            "compare it with what `watchkeep enrol requests` shows, then run the command again with --fingerprint",
        )
    _say(f"Approved. The server's fingerprint is\n  {found}")
    sys.stderr.write("Does `watchkeep enrol requests`, or the page, show the same? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise _Stop(NOT_APPROVED, "the fingerprints differ", remedy)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watchkeep-agent join",
        description="Makes this machine known to an installation, then samples it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help=f"where newcomers ask: http://HOST:PORT (port {DEFAULT_PORT})")
    parser.add_argument("token", metavar="TOKEN", nargs="?", help="one-time token; without one, wait for approval")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help=f"folder for key and data (default {default_folder()})"
    )
    parser.add_argument("--name", help="what to call this host (default: its host name)")
    parser.add_argument("--fingerprint", metavar="TEXT", help="the server's fingerprint; without a token only")
    parser.add_argument(
        "--wait", type=float, default=900.0, metavar="SECONDS", help="how long to wait for approval (default 900)"
    )
    parser.add_argument("--no-start", action="store_true", help="join only, do not start the agent")
    return parser
