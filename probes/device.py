"""How a device that has no agent is reached: what a proxy's poller hands to the probes it runs."""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar, cast

from core.config.reader import setting
from probes.visit import ProbeFailedError, Visit

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MOST_BYTES: Final = 64 << 10


def _check_port(port: int) -> str | None:
    return None if 0 < port < 65_536 else "expected a port from 1 to 65535"


def _check_file_name(name: str | None) -> str | None:
    is_fit = name is None or _FILE_NAME.fullmatch(name)
    return None if is_fit else "expected the name of a file in the proxy's folder of secrets, without a path"


def secret_file(what: str) -> dict[str, object]:
    """Declare the name of a file in the proxy's folder of secrets."""
    return setting(f"file with {what}, in the proxy's folder of secrets", check=_check_file_name)


@dataclass(frozen=True, kw_only=True)
class SnmpAccess:
    """SNMP: version 2c with a community, or version 3 with a user, authenticated and encrypted (authPriv)."""

    port: int = field(default=161, metadata=setting("UDP port", check=_check_port))
    version: Literal["2c", "3"] = field(default="2c", metadata=setting("version"))
    community_file: str | None = field(default=None, metadata=secret_file("the community"))
    user: str | None = field(default=None, metadata=setting("user of version 3"))
    auth_protocol: Literal["sha256", "sha512", "sha384", "sha224", "sha", "md5"] = field(
        default="sha256", metadata=setting("how answers are authenticated")
    )
    auth_file: str | None = field(default=None, metadata=secret_file("the authentication password"))
    privacy_protocol: Literal["aes", "aes192", "aes256", "des"] = field(
        default="aes", metadata=setting("how answers are encrypted")
    )
    privacy_file: str | None = field(default=None, metadata=secret_file("the encryption password"))
    timeout_seconds: float = field(default=2.0, metadata=setting("how long one answer may take", minimum=0.1))
    retries: int = field(default=1, metadata=setting("how often an unanswered request is repeated", minimum=0))

    def __post_init__(self) -> None:
        if self.version == "2c" and self.community_file is None:
            raise ValueError("version 2c needs a community_file")
        if self.version == "3" and None in (self.user, self.auth_file, self.privacy_file):
            raise ValueError("version 3 needs user, auth_file and privacy_file")


@dataclass(frozen=True, kw_only=True)
class SshAccess:
    """SSH: a user with a key or a password, and the host key the device has to show."""

    port: int = field(default=22, metadata=setting("TCP port", check=_check_port))
    user: str = field(metadata=setting("who logs in"))
    key_file: str | None = field(default=None, metadata=secret_file("the user's private key"))
    password_file: str | None = field(default=None, metadata=secret_file("the user's password"))
    host_key: str | None = field(default=None, metadata=setting("fingerprint of the host key: SHA256:…"))
    host_key_file: str | None = field(default=None, metadata=secret_file("the host's public keys, one a line"))
    timeout_seconds: float = field(default=10.0, metadata=setting("how long a connection may take", minimum=0.1))

    def __post_init__(self) -> None:
        if (self.key_file is None) == (self.password_file is None):
            raise ValueError("expected one of key_file and password_file")
        if (self.host_key is None) == (self.host_key_file is None):
            raise ValueError("expected one of host_key and host_key_file: an unknown host is not spoken to")


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that is polled, and by what protocols it answers."""

    host: str = field(metadata=setting("its name"))
    address: str = field(metadata=setting("name or IP address"))
    snmp: SnmpAccess | None = field(default=None, metadata=setting("access by SNMP"))
    ssh: SshAccess | None = field(default=None, metadata=setting("access by SSH"))


class Closable(Protocol):
    """What a poller's probes share: engines, kept connections."""

    def close(self) -> None:
        """Let go of everything; called once."""


Kind = TypeVar("Kind", bound=Closable)


class Shared:
    """What all visits of one poller share, made when it is first asked for. Belongs to one event loop."""

    def __init__(self) -> None:
        self._made: dict[type[Any], Closable] = {}

    def get(self, kind: type[Kind]) -> Kind:
        """Return the one `kind` there is."""
        found = self._made.get(kind)
        if found is None:
            found = self._made[kind] = kind()
        return cast("Kind", found)

    def close(self) -> None:
        """Close all of it."""
        for each in self._made.values():
            each.close()
        self._made.clear()


class DeviceVisit(Visit):
    """A probe's visit at a device. `secrets` is the proxy's folder of secrets.

    `retries` is how often an unanswered question may be repeated this time: whoever runs the probe sets it.
    """

    def __init__(self, device: Device, secrets: Path, shared: Shared) -> None:
        super().__init__()
        self.device = device
        self.shared = shared
        self.retries = 0
        self._secrets = secrets

    def begin(self, at: float) -> None:
        """Start the next read. One that found nothing does not count: the next rate is that since the one before."""
        if self._totals:
            self._last_at, self._last_totals = self.at, self._totals
        self.at, self._totals = at, {}

    def grown(self, key: str, total: float, bits: int) -> float | None:
        """Return how much a counter of so many bits grew since the last read; None at first and after a reset.

        A 32-bit counter that went backwards has wrapped when it came from its upper and got into its lower half.
        """
        self._totals[key] = total
        last = self._last_totals.get(key)
        if last is None or total >= last:
            return None if last is None else total - last
        half = 2.0 ** (bits - 1)
        return total + 2 * half - last if bits == 32 and last >= half > total else None

    @property
    def seconds(self) -> float:
        """How long ago the last read began."""
        return self.at - self._last_at

    def secret(self, name: str) -> str:
        """Return a secret without the line end editors add. Raises ProbeFailedError naming file and remedy only."""
        if not _FILE_NAME.fullmatch(name):
            raise ProbeFailedError(f"{name!r:.140} is not the name of a file in the folder of secrets")
        path = self._secrets / name
        try:
            # Non-blocking: a FIFO in place of the file must not hang the proxy.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
                content = os.read(descriptor, _MOST_BYTES + 1) if is_file else b""
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ProbeFailedError(
                f"the secret file {path} cannot be read ({error.strerror}): put it there, readable by the proxy only"
            ) from error
        if not content.strip() or len(content) > _MOST_BYTES:
            raise ProbeFailedError(f"the secret file {path} has to be a file of 1 to {_MOST_BYTES} bytes")
        try:
            return content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise ProbeFailedError(f"the secret file {path} is not UTF-8 text") from None


def at_device(visit: Visit) -> DeviceVisit:
    """Return the visit of a probe that polls."""
    if not isinstance(visit, DeviceVisit):
        raise ProbeFailedError("this is asked by a proxy, of a host with `polling` in its definition")
    return visit
