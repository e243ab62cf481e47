"""How one signs in at an SFTP server: known keys of it, and of ours a key, a password or both."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import paramiko

from backup.errors import ConfigInvalid, TargetAway, TargetRefused
from backup.targets.secret import first_line

if TYPE_CHECKING:
    from pathlib import Path

    from backup.errors import BackupError
    from backup.settings.target import TargetSettings

SIGN_IN_TROUBLES: Final = (paramiko.SSHException, OSError)
# It logs what it raises, with traces.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshLogin:
    """Where to sign in, as whom. password: or the passphrase of the key, when there is one."""

    address: str
    port: int
    user: str
    known_hosts: Path
    key_file: Path | None
    password: str | None = field(repr=False)
    timeout_seconds: float

    @property
    def ssh_options(self) -> list[str]:
        """What duplicity is told of it, in OpenSSH's words: no other keys of servers count than these."""
        key = [] if self.key_file is None else [f"-oIdentityFile={self.key_file}"]
        return [f"-oUserKnownHostsFile={self.known_hosts}", "-oGlobalKnownHostsFile=/dev/null", *key]


def read_login(settings: TargetSettings) -> SshLogin:
    """Return how to sign in. Raises ConfigInvalid naming the file that is missing or cannot be used."""
    if settings.address is None or settings.user is None or settings.known_hosts is None:
        raise ConfigInvalid(f"target {settings.name!r} lacks settings of an SFTP server")
    for path in (settings.known_hosts, settings.key_file):
        if path is None:
            continue
        if not path.is_file():
            raise ConfigInvalid(f"{path} is not there: target {settings.name!r} names it")
        if " " in str(path.absolute()):
            raise ConfigInvalid(f"{path.absolute()}: duplicity takes no path with a space in it; move it elsewhere")
    return SshLogin(
        address=settings.address,
        port=settings.port,
        user=settings.user,
        known_hosts=settings.known_hosts.absolute(),
        key_file=None if settings.key_file is None else settings.key_file.absolute(),
        password=None if settings.password_file is None else first_line(settings.password_file),
        timeout_seconds=settings.timeout.total_seconds(),
    )


def sign_in(login: SshLogin) -> tuple[paramiko.SSHClient, paramiko.SFTPClient]:
    """Connect, check the server's key, sign in. Raises SIGN_IN_TROUBLES; nothing is asked, no agent, no other key."""
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    seconds = login.timeout_seconds
    try:
        client.load_host_keys(str(login.known_hosts))
        client.connect(
            login.address,
            login.port,
            login.user,
            password=login.password,
            key_filename=None if login.key_file is None else str(login.key_file),
            timeout=seconds,
            banner_timeout=seconds,
            auth_timeout=seconds,
            channel_timeout=seconds,
            allow_agent=False,
            look_for_keys=False,
        )
        if (transport := client.get_transport()) is not None:
            transport.set_keepalive(int(max(1, seconds / 2)))
        sftp = client.open_sftp()
        if (channel := sftp.get_channel()) is not None:
            channel.settimeout(seconds)
    except BaseException:
        client.close()
        raise
    return client, sftp


def explain(error: Exception, login: SshLogin) -> BackupError:
    """Return what it means that a server did not let us in, or that its connection broke."""
    place = f"{login.user}@{login.address}:{login.port}"
    if isinstance(error, paramiko.BadHostKeyException):
        return TargetRefused(
            f"{place}: the server shows another key than {login.known_hosts} has of it; was it made anew, or is"
            " somebody in between? Compare its fingerprint before you replace the line"
        )
    if isinstance(error, paramiko.PasswordRequiredException):
        return ConfigInvalid(f"{login.key_file} needs a passphrase: name the file that has it as password_file")
    if isinstance(error, paramiko.AuthenticationException):
        return TargetRefused(f"{place}: the login is refused; are user, key and password right?")
    words = str(error) or type(error).__name__
    if "not found in known_hosts" in words:
        return TargetRefused(
            f"{place}: no key of this server is in {login.known_hosts}: ssh-keyscan -p {login.port} {login.address}"
            " shows it; compare its fingerprint with what its administrator says, then put the line there"
        )
    return TargetAway(f"{place}: {words}")
