"""How one signs in at a Swift: with auth version 1 (ACCOUNT:USER and a key), or at a Keystone v3.

There for a project by user and password, or with an application credential, which is of one user and project.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from keystoneauth1 import exceptions as keystone

from backup.errors import ConfigInvalid, TargetAway, TargetRefused
from backup.targets.secret import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backup.errors import BackupError
    from backup.settings.target import TargetSettings

SignInFailed: Final = keystone.ClientException

_REGION: Final = "region_name"
# What the library calls a domain or a project, and what duplicity's backend reads it from.
_VARIABLES: Final = {
    "user_domain_name": "SWIFT_USER_DOMAIN_NAME",
    "project_domain_name": "SWIFT_PROJECT_DOMAIN_NAME",
    "project_name": "SWIFT_PROJECT_NAME",
    _REGION: "SWIFT_REGIONNAME",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where to sign in, as whom. `options`: of Keystone v3 (domains, project, region); None with auth version 1.

    is_credential: user and key are id and secret of an application credential.
    """

    url: str
    user: str
    key: str = field(repr=False)
    options: Mapping[str, str] | None
    is_credential: bool = False

    def arguments(self, timeout_seconds: float) -> dict[str, Any]:
        """Return what the library's connection is given. It signs in anew by itself when a token has ended.

        At a Keystone through a session: the library's own way there goes through calls that are to be removed.
        """
        if self.options is None:
            return {"authurl": self.url, "user": self.user, "key": self.key, "auth_version": "1"}
        from keystoneauth1.identity import v3  # noqa: PLC0415 - version 1 does not need it
        from keystoneauth1.session import Session  # noqa: PLC0415 - as above

        who: dict[str, Any] = {name: value for name, value in self.options.items() if name != _REGION}
        if self.is_credential:
            proof: Any = v3.ApplicationCredential(
                auth_url=self.url, application_credential_id=self.user, application_credential_secret=self.key
            )
        else:
            proof = v3.Password(auth_url=self.url, username=self.user, password=self.key, **who)
        region = {_REGION: self.options[_REGION]} if _REGION in self.options else {}
        return {"session": Session(auth=proof, timeout=timeout_seconds), "os_options": region}

    @property
    def proof(self) -> str:
        """What has to be right, for people."""
        if self.is_credential:
            return "id and secret of the application credential, or has it ended, or the rights of its user,"
        return "user and key" if self.options is None else "user, password, domains and project"

    @property
    def environment(self) -> dict[str, str]:
        """The credentials as duplicity's Swift backend reads them.

        It reads SWIFT_*; the library's other half, which it uses beside, reads ST_* with auth version 1: without them
        every volume waits two minutes for a login that cannot succeed.
        """
        common = {"SWIFT_AUTHURL": self.url, "SWIFT_USERNAME": self.user, "SWIFT_PASSWORD": self.key}
        if self.options is None:
            st = {"ST_AUTH": self.url, "ST_USER": self.user, "ST_KEY": self.key}
            return {**common, **st, "SWIFT_AUTHVERSION": "1"}
        named = {_VARIABLES[name]: value for name, value in self.options.items()}
        if self.is_credential:  # the library wants to be told a project, and leaves it alone
            named |= {"WATCHKEEP_APPLICATION_CREDENTIAL": "yes", "SWIFT_PROJECT_NAME": "that of the credential"}
        return {**common, **named, "SWIFT_AUTHVERSION": "3"}


def read_login(settings: TargetSettings) -> Login:
    """Return how to sign in, the key read from its file. A project or a credential makes it Keystone v3.

    Raises ConfigInvalid.
    """
    if settings.auth_url is None or settings.user is None or settings.key_file is None:
        raise ConfigInvalid(f"target {settings.name!r} lacks settings of a Swift")
    options: dict[str, str] | None = None
    if settings.project is not None:
        options = {
            "user_domain_name": settings.user_domain or "Default",
            "project_domain_name": settings.project_domain or "Default",
            "project_name": settings.project,
        }
    elif settings.application_credential:
        options = {}
    if options is not None and settings.region is not None:
        options[_REGION] = settings.region
    return Login(
        url=settings.auth_url,
        user=settings.user,
        key=first_line(settings.key_file),
        options=options,
        is_credential=settings.application_credential,
    )


def explain(error: keystone.ClientException, login: Login) -> BackupError:
    """Return what it means that Keystone did not let us in."""
    if isinstance(error, keystone.Unauthorized | keystone.Forbidden):
        return TargetRefused(f"{login.url}: the login is refused; are {login.proof} right?")
    if isinstance(error, keystone.CatalogException):
        return TargetRefused(f"{login.url}: no Swift is in the catalogue for this project and region")
    if isinstance(error, keystone.NotFound | keystone.DiscoveryFailure):
        return TargetAway(f"{login.url}: no Keystone answers there; does the address end in /v3?")
    return TargetAway(f"{login.url}: {error}")
