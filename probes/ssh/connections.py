"""Connections by SSH over paramiko: kept by device and user, the host's key known beforehand, in bounded threads."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import paramiko

from probes.declaration import ProbeFailedError, SilentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from probes.device import DeviceVisit

_THREADS: Final = 32
_MOST_KEPT: Final = 500
_MOST_BYTES: Final = 64 << 10
_ALIVE_SECONDS: Final = 30  # so often a kept connection is asked, so that one cut in between is found
_KEY_KINDS: Final[Sequence[type[Any]]] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that has run: its exit code, what it printed and complained, and how long it took."""

    code: int
    output: str
    errors: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Login:
    """Where to, as whom, and which host keys are right. Two equal ones share a connection."""

    address: str
    port: int
    user: str
    key: str | None
    password: str | None
    host_keys: frozenset[str]
    timeout_seconds: float

    def __repr__(self) -> str:
        return f"{self.user}@{self.address} port {self.port}"


class Connections:
    """The connections of one poller. Threads that wait for a device hold no more than their own slot."""

    def __init__(self) -> None:
        self._kept: dict[_Login, paramiko.Transport] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ssh")
        self._is_closed = False

    async def run(self, visit: DeviceVisit, command: str, seconds: float) -> Ended:
        """Run `command`, read by the user's shell there. Raises SilentError, ProbeFailedError.

        Cancelled, the thread goes on until its own time limits end it.
        """
        login = _login(visit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, login, command, seconds)

    def close(self) -> None:
        """Cut every connection; commands under way fail."""
        with self._lock:
            self._is_closed = True
            kept, self._kept = list(self._kept.values()), {}
        for transport in kept:
            transport.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, login: _Login, command: str, seconds: float) -> Ended:
        began = time.monotonic()
        try:
            channel = self._channel(login)
            try:
                return _execute(channel, login, command, began, seconds)
            finally:
                channel.close()
        except (TimeoutError, EOFError, OSError) as error:
            self._forget(login)
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise SilentError(f"{login!r} (SSH): {reason}") from error
        except paramiko.AuthenticationException as error:
            raise ProbeFailedError(f"{login!r} (SSH): the login is refused; check user and key") from error
        except paramiko.SSHException as error:
            self._forget(login)
            raise SilentError(f"{login!r} (SSH): {error}") from error

    def _channel(self, login: _Login) -> paramiko.Channel:
        with self._lock:
            kept = self._kept.get(login)
        if kept is not None and kept.is_active():
            try:
                return kept.open_session(timeout=login.timeout_seconds)
            except (paramiko.SSHException, EOFError, OSError):
                self._forget(login)  # the device has cut it meanwhile: once more, from the beginning
        transport = _connect(login)
        with self._lock:
            crowded = [self._kept.pop(next(iter(self._kept)))] if len(self._kept) >= _MOST_KEPT else []
            if self._is_closed:
                crowded.append(transport)
            else:
                self._kept[login] = transport
        for each in crowded:
            each.close()
        return transport.open_session(timeout=login.timeout_seconds)

    def _forget(self, login: _Login) -> None:
        with self._lock:
            transport = self._kept.pop(login, None)
        if transport is not None:
            transport.close()


def _connect(login: _Login) -> paramiko.Transport:
    """Connect and log in. Nothing is said about the user before the host has shown the right key."""
    link = socket.create_connection((login.address, login.port), login.timeout_seconds)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(link)
    try:
        transport.banner_timeout = transport.auth_timeout = login.timeout_seconds
        transport.start_client(timeout=login.timeout_seconds)
        _check_host(login, _fingerprint(transport.get_remote_server_key().asbytes()))
        if login.key is not None:
            transport.auth_publickey(login.user, _read_key(login.key))
        else:
            transport.auth_password(login.user, login.password or "", fallback=False)
        transport.set_keepalive(_ALIVE_SECONDS)
    except BaseException:
        transport.close()
        raise
    return transport


def _check_host(login: _Login, shown: str) -> None:
    if shown not in login.host_keys:
        raise ProbeFailedError(
            f"{login!r} (SSH) shows the host key {shown}, which is not the one defined: another machine answers"
            " there, or its key was changed; check it and correct host_key"
        )


def _execute(channel: paramiko.Channel, login: _Login, command: str, began: float, seconds: float) -> Ended:
    deadline = time.monotonic() + seconds
    # paramiko waits for the answer to the request itself without any limit: closing the channel ends that.
    late = threading.Timer(seconds, _cut, [channel])
    late.daemon = True
    late.start()
    try:
        channel.exec_command(command)
        channel.shutdown_write()
    except paramiko.SSHException as error:
        if time.monotonic() >= deadline:
            raise TimeoutError from error
        raise
    finally:
        late.cancel()
    try:
        output = _read(channel, channel.recv, login, deadline)
        errors = _read(channel, channel.recv_stderr, login, deadline)
        # The exit code comes with the end of the output, or just after it.
        if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
            raise TimeoutError  # noqa: TRY301 - one word for every way of being late
    except TimeoutError as error:
        raise ProbeFailedError(f"{login!r} (SSH): the command did not end within {seconds:g} s") from error
    return Ended(code=channel.exit_status, output=output, errors=errors, seconds=time.monotonic() - began)


def _cut(channel: paramiko.Channel) -> None:
    """Close a channel; whoever waits for it wakes first, and may have closed the connection under it by then."""
    with suppress(EOFError, OSError, paramiko.SSHException):
        channel.close()


def _read(channel: paramiko.Channel, receive: Callable[[int], bytes], login: _Login, deadline: float) -> str:
    """Return all of a stream to its end. Raises TimeoutError at the deadline."""
    parts: list[bytes] = []
    size = 0
    while True:
        channel.settimeout(max(0.001, deadline - time.monotonic()))
        part = receive(1 << 15)
        if not part:
            return b"".join(parts).decode(errors="replace")
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise ProbeFailedError(f"{login!r} (SSH): the command printed more than {_MOST_BYTES} bytes")


def _login(visit: DeviceVisit) -> _Login:
    device, access = visit.device, visit.device.ssh
    if access is None:
        raise ProbeFailedError("the host's definition has no `polling.ssh`")
    if access.host_key_file is not None:
        host_keys = frozenset(_fingerprints(visit.secret(access.host_key_file), access.host_key_file))
    else:
        host_keys = frozenset([(access.host_key or "").rstrip("=")])
    return _Login(
        address=device.address,
        port=access.port,
        user=access.user,
        key=None if access.key_file is None else visit.secret(access.key_file) + "\n",
        password=None if access.password_file is None else visit.secret(access.password_file),
        host_keys=host_keys,
        timeout_seconds=access.timeout_seconds,
    )


def _fingerprints(text: str, name: str) -> list[str]:
    """Return the fingerprints of public keys as OpenSSH writes them, with or without host names before them."""
    found = []
    for line in text.splitlines():
        for word in line.split():
            if word.startswith("AAAA"):
                try:
                    found.append(_fingerprint(base64.b64decode(word, validate=True)))
                except ValueError:
                    continue
    if not found:
        raise ProbeFailedError(f"{name} in the folder of secrets holds no public key like `ssh-ed25519 AAAA…`")
    return found


def _fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _read_key(text: str) -> paramiko.PKey:
    for kind in _KEY_KINDS:
        try:
            key: paramiko.PKey = kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
        return key
    raise ProbeFailedError("the private key is none of ed25519, ecdsa, rsa without a passphrase (OpenSSH or PEM form)")
