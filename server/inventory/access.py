"""How a host without an agent is reached by the proxy that polls it: the `polling` of its definition."""

import ipaddress
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from server.inventory.vocabulary import Name, Part

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_-]{1,63})*\.?"
)
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")


def _check_file(text: str) -> str:
    if not _FILE_NAME.fullmatch(text):
        raise ValueError("expected the name of a file in the proxy's folder of secrets, without a path")
    return text


def _check_address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _HOST_NAME.fullmatch(text):
            raise ValueError("expected an IP address or a host's name, without a port") from None
    return text


def _check_fingerprint(text: str) -> str:
    if not _FINGERPRINT.fullmatch(text):
        raise ValueError("expected a fingerprint like `ssh-keygen -lf` prints it: SHA256: and 43 letters")
    return text


# A bare name: a definition, which may come over the REST API, must not make the proxy read any other file.
ProxyFile = Annotated[str, AfterValidator(_check_file)]
Port = Annotated[int, Field(ge=1, le=65_535)]
User = Annotated[str, Field(min_length=1, max_length=64)]
AnswerSeconds = Annotated[float, Field(ge=0.1, le=60.0)]


class SnmpPolling(Part):
    """SNMP: version 2c with a community, or version 3 with a user, authenticated and encrypted."""

    port: Port = 161
    version: Literal["2c", "3"] = "2c"
    community_file: ProxyFile | None = None
    user: User | None = None
    auth_protocol: Literal["sha256", "sha512", "sha384", "sha224", "sha", "md5"] = "sha256"
    auth_file: ProxyFile | None = None
    privacy_protocol: Literal["aes", "aes192", "aes256", "des"] = "aes"
    privacy_file: ProxyFile | None = None
    timeout_seconds: AnswerSeconds = 2.0
    retries: Annotated[int, Field(ge=0, le=5)] = 1

    @model_validator(mode="before")
    @classmethod
    def _read_version(cls, data: Any) -> Any:
        # YAML reads `version: 3` as a number.
        return data | {"version": "3"} if isinstance(data, dict) and data.get("version") == 3 else data

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if self.version == "2c" and self.community_file is None:
            raise ValueError("version 2c needs `community_file`, a file in the proxy's folder of secrets")
        if self.version == "3" and None in (self.user, self.auth_file, self.privacy_file):
            raise ValueError("version 3 needs `user`, `auth_file` and `privacy_file`")
        return self


class SshPolling(Part):
    """SSH: a user with a key or a password, and the host key the device has to show."""

    port: Port = 22
    user: User
    key_file: ProxyFile | None = None
    password_file: ProxyFile | None = None
    host_key: Annotated[str, AfterValidator(_check_fingerprint)] | None = None
    host_key_file: ProxyFile | None = None
    timeout_seconds: AnswerSeconds = 10.0

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if (self.key_file is None) == (self.password_file is None):
            raise ValueError("expected one of `key_file` and `password_file`")
        if (self.host_key is None) == (self.host_key_file is None):
            raise ValueError("expected one of `host_key` and `host_key_file`: an unknown host is not spoken to")
        return self


class Polling(Part):
    """Where a host is polled, by whom, and by which protocols it answers."""

    address: Annotated[str, AfterValidator(_check_address)]
    proxy_group: Name = "default"
    snmp: SnmpPolling | None = None
    ssh: SshPolling | None = None

    @model_validator(mode="after")
    def _check_some(self) -> Self:
        if self.snmp is None and self.ssh is None:
            raise ValueError("expected `snmp` or `ssh`, or both")
        return self

    def device(self, host: str) -> dict[str, Any]:
        """Return what the poller is told (probes/device.Device); what is left out has its default there."""
        return {"host": host, **self.model_dump(mode="json", exclude_defaults=True, exclude={"proxy_group"})}
