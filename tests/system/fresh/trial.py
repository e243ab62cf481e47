"""What the README says, typed on a machine that has nothing: run by deploy/fresh-trial.sh inside a fresh Debian.

Nothing but the standard library and programs of the minimal system is used here. Each case clones the repository, types
`make up`, uses the API, stops it as Ctrl-C at a terminal does, and starts it again without a network.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUNDLE = "/watchkeep.bundle"
INSTALL_SECONDS = 1200.0
FIRST_READY_SECONDS = 60.0
NEXT_READY_SECONDS = 10.0
FIRST_VALUE_SECONDS = 10.0
STOP_SECONDS = 40.0
SHOWN_CHARACTERS = 60_000


class TrialFailed(Exception):
    """The README's promise did not hold; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Who types the commands, and where the clone lies."""

    name: str
    user: str
    folder: Path


CASES = (
    Case(name="root", user="root", folder=Path("/srv/watchkeep")),
    Case(name="user", user="tester", folder=Path("/home/tester/watchkeep")),
    Case(name="private", user="root", folder=Path("/root/x/watchkeep")),
)


@dataclass(kw_only=True)
class Terminal:
    """A command at a terminal of its own, typed by a user's log-in shell."""

    pid: int
    master: int
    output: bytearray = field(default_factory=bytearray)
    code: int | None = None

    def poll(self, seconds: float) -> bool:
        """Read what it prints for up to `seconds`; True once it has ended."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                self.output += os.read(self.master, 65_536)
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def press_ctrl_c(self) -> None:
        """Type the interrupt character; the terminal sends SIGINT to whatever is in its foreground."""
        os.write(self.master, b"\x03")

    def text(self) -> str:
        """Return what it printed, its end, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.output.decode(errors="replace"))[-SHOWN_CHARACTERS:]

    def await_end(self, seconds: float) -> int:
        """Return its exit code. Raises TrialFailed when it has not ended in time."""
        deadline = time.monotonic() + seconds
        while not self.poll(0.1):
            if time.monotonic() > deadline:
                raise TrialFailed(f"it had not ended after {seconds:.0f} s:\n{self.text()}")
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.output += os.read(self.master, 65_536)
            except OSError:
                break
        assert self.code is not None
        return self.code


def type_command(case: Case, command: str, *, network: bool = True) -> Terminal:
    """Type a command as the case's user in the case's folder; without `network` there is only a loopback."""
    arguments = as_user(case, f". /trial-environment && cd {case.folder} && exec {command}")
    if not network:
        arguments = ["unshare", "--net", "sh", "-c", 'python3 /trial.py --loopback-up && exec "$@"', "sh", *arguments]
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.execvp(arguments[0], arguments)  # noqa: S606 # the child of a fork
        finally:
            os._exit(127)
    settings = termios.tcgetattr(master)
    settings[1] &= ~termios.ONLCR
    termios.tcsetattr(master, termios.TCSANOW, settings)
    return Terminal(pid=pid, master=master)


def as_user(case: Case, shell: str) -> list[str]:
    """Return the arguments that run a shell line as the case's user after a log-in; `su -c` would take the terminal."""
    setpriv = ["setpriv", f"--reuid={case.user}", f"--regid={case.user}", "--init-groups", "--reset-env", "--"]
    return [*setpriv, "bash", "--login", "-c", shell]


def say(text: str) -> None:
    """Print a line for whoever waits."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(*arguments: str, cwd: Path | None = None) -> str:
    """Run a program to its end and return what it printed. Raises TrialFailed."""
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    if done.returncode != 0:
        raise TrialFailed(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def clone(case: Case) -> None:
    """Clone the repository as the case's user, into a folder of his."""
    if case.user != "root":
        run("useradd", "--create-home", "--shell", "/bin/bash", case.user)
        Path("/etc/sudoers.d/trial").write_text(f"{case.user} ALL=(ALL) NOPASSWD: ALL\n")
    case.folder.parent.mkdir(parents=True, exist_ok=True)
    if case.folder.is_relative_to("/root"):
        for folder in (Path("/root"), case.folder.parent):
            folder.chmod(0o700)
    run(*as_user(case, f"git clone --quiet {BUNDLE} {case.folder}"))


def processes() -> dict[int, str]:
    """Return the processes of this namespace that are neither we nor the first one, by id."""
    found = {}
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) in (1, os.getpid()):
            continue
        with contextlib.suppress(OSError):
            found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def began(pid: int) -> float:
    """Return when a process was started, in seconds of the monotonic clock."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


class Api:
    """The REST API of a running installation, logged in."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self._url = ready["url"].rstrip("/")
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )
        self.post("/api/v1/session", {"user": ready["user"], "password": ready["password"]})

    def get(self, path: str) -> Any:
        """Return the JSON answer."""
        return json.loads(self.read(path))

    def read(self, path: str) -> bytes:
        """Return the answer as it is."""
        with self._opener.open(self._url + path, timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send JSON and return the JSON answer."""
        request = urllib.request.Request(  # noqa: S310 # the URL is our own
            self._url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with self._opener.open(request, timeout=10) as answer:
            return json.loads(answer.read())


def await_true(what: str, condition: Callable[[], Any], seconds: float, terminal: Terminal) -> Any:
    """Return the condition's first true answer. Raises TrialFailed after `seconds`, or when the command ends."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if terminal.poll(0.05):
            raise TrialFailed(f"it ended with {terminal.code} before {what}:\n{terminal.text()}")
        if time.monotonic() > deadline:
            raise TrialFailed(f"not within {seconds:.0f} s: {what}\n{terminal.text()}")


@contextlib.contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Be in a process's network for the while."""
    with Path("/proc/self/ns/net").open() as own, Path(f"/proc/{pid}/ns/net").open() as other:
        set_namespace(other.fileno())
        try:
            yield
        finally:
            set_namespace(own.fileno())


def set_namespace(descriptor: int) -> None:
    """setns(2), which Python 3.11 does not offer."""
    import ctypes  # noqa: PLC0415 # only here

    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, 0) != 0:
        raise TrialFailed(f"setns: {os.strerror(ctypes.get_errno())}")


def up(case: Case, *, is_first: bool) -> dict[str, float]:
    """Type `make up`, use it, press Ctrl-C; return how long what took. Raises TrialFailed."""
    ready_file = Path(f"/tmp/{case.name}-ready.json")  # noqa: S108 # a machine of its own
    typed, typed_at = time.monotonic(), time.time()
    terminal = type_command(case, f'make up ARGS="--ready-file {ready_file}"', network=is_first)
    figures: dict[str, float] = {}
    try:
        await_true("ready", ready_file.exists, INSTALL_SECONDS if is_first else 60.0, terminal)
        ready_at = time.monotonic()
        ready = json.loads(ready_file.read_text())
        started = began(ready["pids"]["up"])
        figures["install_seconds"] = started - typed
        figures["ready_seconds"] = ready_at - (started if is_first else typed)
        limit = FIRST_READY_SECONDS if is_first else NEXT_READY_SECONDS
        if figures["ready_seconds"] > limit:
            raise TrialFailed(f"ready after {figures['ready_seconds']:.1f} s, promised {limit:.0f} s")
        with network_of(ready["pids"]["up"]):
            use(ready, typed_at, terminal)
        figures["value_seconds"] = time.monotonic() - ready_at
        figures["processes"] = len(processes())
        check_accounts(ready)
        terminal.press_ctrl_c()
        pressed = time.monotonic()
        code = terminal.await_end(STOP_SECONDS)
        figures["stop_seconds"] = time.monotonic() - pressed
        if code != 0:
            raise TrialFailed(f"Ctrl-C ended it with {code}:\n{terminal.text()}")
    finally:
        os.close(terminal.master)
    left = processes()
    if left:
        raise TrialFailed(f"left behind: {left}")
    if ready_file.exists():
        raise TrialFailed("the ready file was left behind")
    return figures


def use(ready: dict[str, Any], typed_at: float, terminal: Terminal) -> None:
    """Log in, see the page, wait for values newer than `typed_at` and for the host to be up."""
    api = Api(ready)
    page = api.read("/").decode()
    if "<script" not in page:
        raise TrialFailed(f"the page has no script: {page[:500]}")
    hosts = api.get("/api/v1/hosts")["hosts"]
    if len(hosts) != 1:
        raise TrialFailed(f"expected this machine as the only host, found {hosts}")
    name = hosts[0]["name"]

    def fresh_values() -> list[dict[str, Any]]:
        items = api.get(f"/api/v1/items?host={name}&limit=200")["items"]
        return [item for item in items if item.get("value") is not None and is_new(item["at"], typed_at)]

    await_true("the first value", fresh_values, FIRST_VALUE_SECONDS, terminal)
    await_true(
        "the host is up",
        lambda: api.get(f"/api/v1/hosts/{name}")["state"] == "up",
        FIRST_VALUE_SECONDS,
        terminal,
    )


def is_new(at: str, since: float) -> bool:
    """Tell whether an instant (ISO 8601) is not before `since`, seconds of the epoch."""
    return datetime.fromisoformat(at).timestamp() >= since


def check_accounts(ready: dict[str, Any]) -> None:
    """Nothing but `up` itself may be root as the kernel sees it from inside."""
    for part, pid in ready["pids"].items():
        status = Path(f"/proc/{pid}/status").read_text()
        capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
        if part != "up" and int(capabilities, 16) != 0:
            raise TrialFailed(f"{part} has capabilities {capabilities}")


def run_tests(case: Case, *, is_long: bool) -> dict[str, float]:
    """Set up for development, run tests: some, or all that `make test` runs."""
    tests = "make test"
    if not is_long:
        tests = (
            "sh -c 'sh deploy/timescale-root.sh && exec "
            ".venv/bin/python -m pytest -q tests/unit tests/integration/store tests/integration/api tests/front'"
        )
    return type_all(case, {"setup_dev_seconds": "make setup-dev", "test_seconds": tests})


def bring_back(case: Case) -> dict[str, float]:
    """Save what `up` saves, install bkp elsewhere as docs/disaster.md says, by pip alone, and restore with that."""
    pip = "../alone/bin/pip"
    steps = {
        "save_seconds": ".venv/bin/bkp run watchkeep-files --config var/backup/backup.toml",
        "install_seconds": f"python3 -m venv ../alone && {pip} wheel --quiet --no-deps --wheel-dir ../wheels ."
        f' && {pip} install --quiet "$(ls ../wheels/*.whl)[backup]" && {pip} install --quiet --no-deps duplicity',
        "restore_seconds": "../alone/bin/bkp restore watchkeep-files --config var/restore-station/backup.toml"
        ' --to ../back && test -n "$(find ../back -type f)"',
    }
    return type_all(case, {figure: f"sh -c '{command}'" for figure, command in steps.items()})


def type_all(case: Case, commands: dict[str, str]) -> dict[str, float]:
    """Type commands one after the other; return how long each took. Raises TrialFailed."""
    figures = {}
    for figure, command in commands.items():
        typed = time.monotonic()
        terminal = type_command(case, command)
        code = terminal.await_end(3 * INSTALL_SECONDS)
        os.close(terminal.master)
        figures[figure] = time.monotonic() - typed
        if code != 0:
            raise TrialFailed(f"{command} ended with {code}:\n{terminal.text()}")
        say("    " + (terminal.text().strip().splitlines() or [""])[-1])
    return figures


def raise_loopback() -> None:
    """Bring the loopback of a new network namespace up: `ip link set lo up` without iproute2 (netdevice(7))."""
    import fcntl  # noqa: PLC0415 # only here
    import socket  # noqa: PLC0415 # only here
    import struct  # noqa: PLC0415 # only here

    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1))


def write_environment() -> None:
    """Let every log-in have the settings of the network that the machine outside has."""
    lines = Path("/etc/environment").read_text().splitlines()
    quoted = [f"export {name}='{value}'" for name, _, value in (line.partition("=") for line in lines)]
    Path("/trial-environment").write_text("\n".join(quoted) + "\n")


def main() -> int:
    """Run the cases asked for; print a line of figures for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true", help="run the whole `make test`")
    parser.add_argument("--loopback-up", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--shell", action="store_true", help="a shell inside, to look around")
    parser.add_argument("cases", nargs="*", choices=[*(case.name for case in CASES), []])
    wishes = parser.parse_args()
    if wishes.loopback_up:
        raise_loopback()
        return 0
    write_environment()
    if wishes.shell:
        return subprocess.call(["bash", "-l"])
    system = dict(
        line.replace('"', "").split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    failures = 0
    for case in CASES:
        if wishes.cases and case.name not in wishes.cases:
            continue
        say(f"{system['PRETTY_NAME']}, {case.name}: {case.user} in {case.folder}")
        try:
            clone(case)
            show("first start", up(case, is_first=True))
            show("next start, no network", up(case, is_first=False))
            if case.name == "user":
                show("bkp by pip alone", bring_back(case))
            if not wishes.no_tests and case.name != "private":
                show("tests", run_tests(case, is_long=wishes.long))
        except (TrialFailed, urllib.error.URLError, OSError, KeyError, subprocess.TimeoutExpired) as error:
            failures += 1
            say(f"  FAILED: {type(error).__name__}: {error}")
            show_logs(case)
        shutil.rmtree(case.folder / ".venv", ignore_errors=True)
    say("all held" if failures == 0 else f"{failures} cases failed")
    return 1 if failures else 0


def show(what: str, figures: dict[str, float]) -> None:
    """Print figures in one line, and how busy the machine was: others may work on it."""
    told = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in figures.items())
    say(f"  {what}: {told} (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors)")


def show_logs(case: Case) -> None:
    """Print the ends of the installation's logs."""
    for path in sorted(case.folder.glob("var/log/*.log")):
        say(f"  ── {path}\n{path.read_text(errors='replace')[-1500:]}")


if __name__ == "__main__":
    sys.exit(main())
