"""What backup.toml says of a target: where it is, and how to sign in there."""

from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from backup.settings.checks import check_address, check_name, check_remote, check_remote_path
from core.config.reader import ByteSize, setting

# What each kind needs, and what it may have beside; all of them have name, kind and timeout.
_KINDS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "folder": (("folder",), ()),
    "swift": (
        ("auth_url", "user", "key_file", "container"),
        ("project", "project_domain", "user_domain", "application_credential", "region", "upload_limit"),
    ),
    "s3": (("bucket", "user", "key_file"), ("endpoint_url", "region", "path_style", "upload_limit")),
    "sftp": (("address", "user", "path", "known_hosts"), ("port", "key_file", "password_file", "upload_limit")),
    "rclone": (("remote",), ("config_file", "password_file", "upload_limit")),
}
_COMMON: Final = frozenset({"name", "kind", "timeout"})


@dataclass(frozen=True, kw_only=True)
class TargetSettings:
    """A place backups are kept at: a folder here or behind SFTP, a container, a bucket, a remote of rclone."""

    name: str = field(metadata=setting("what sets call it", example='"store"', check=check_name))
    kind: Literal["folder", "swift", "sftp", "s3", "rclone"] = field(metadata=setting("what it is", example='"folder"'))
    folder: Path | None = field(default=None, metadata=setting("folder: where", example='"/srv/backup"'))
    auth_url: str | None = field(
        default=None, metadata=setting("swift: where to log in", example='"https://swift.example/auth/v1.0"')
    )
    address: str | None = field(
        default=None,
        metadata=setting("sftp: the server's name or address", example='"store.example"', check=check_address),
    )
    port: int = field(default=22, metadata=setting("sftp: the server's port", minimum=1))
    path: str | None = field(
        default=None,
        metadata=setting(
            "sftp: the folder there, from / or from where a login begins",
            example='"/srv/backup"',
            check=check_remote_path,
        ),
    )
    known_hosts: Path | None = field(
        default=None, metadata=setting("sftp: file of the server's keys, as ssh-keyscan writes it; no other is trusted")
    )
    user: str | None = field(
        default=None,
        metadata=setting(
            "swift: ACCOUNT:USER; with a project, and with sftp, the user; s3: the access key's id",
            example='"backup:web1"',
        ),
    )
    key_file: Path | None = field(
        default=None,
        metadata=setting("swift, s3: file whose first line is the key or password; sftp: the private key"),
    )
    password_file: Path | None = field(
        default=None,
        metadata=setting(
            "sftp: file whose first line is the password, or the passphrase of the private key; rclone: that of its"
            " configuration, when that is encrypted"
        ),
    )
    container: str | None = field(
        default=None, metadata=setting("swift: the container", example='"watchkeep"', check=check_name)
    )
    project: str | None = field(
        default=None, metadata=setting("swift: the project, which makes it a login at Keystone v3", example='"backup"')
    )
    project_domain: str | None = field(default=None, metadata=setting('swift: the project\'s domain; none: "Default"'))
    user_domain: str | None = field(default=None, metadata=setting('swift: the user\'s domain; none: "Default"'))
    application_credential: bool = field(
        default=False,
        metadata=setting("swift: user and key are the id and the secret of an application credential of Keystone v3"),
    )
    region: str | None = field(
        default=None,
        metadata=setting(
            "swift: the region; none: the first that has a Swift; s3: none: us-east-1", example='"RegionOne"'
        ),
    )
    bucket: str | None = field(
        default=None, metadata=setting("s3: the bucket", example='"watchkeep"', check=check_name)
    )
    endpoint_url: str | None = field(
        default=None, metadata=setting("s3: where it is; none: Amazon's", example='"https://s3.example"')
    )
    path_style: bool = field(
        default=False, metadata=setting("s3: the bucket is part of the path, not of the server's name")
    )
    remote: str | None = field(
        default=None,
        metadata=setting(
            "rclone: a remote of its configuration and a folder there",
            example='"cloud:backup/web1"',
            check=check_remote,
        ),
    )
    config_file: Path | None = field(
        default=None, metadata=setting("rclone: its configuration; none: ~/.config/rclone/rclone.conf")
    )
    upload_limit: ByteSize | None = field(
        default=None,
        metadata=setting("bytes a second that are sent there at most; not for folders", example='"2MiB"', minimum=1024),
    )
    timeout: timedelta = field(
        default=timedelta(seconds=30), metadata=setting("how long a request may stay without answer", minimum=1)
    )

    def __post_init__(self) -> None:
        needed, more = _KINDS[self.kind]
        defaults = {each.name: each.default for each in fields(self)}
        given = {name for name, value in vars(self).items() if value != defaults[name]}
        missing = [name for name in needed if name not in given]
        if missing:
            raise ValueError(f"a target of kind {self.kind!r} needs {', '.join(missing)}")
        strange = sorted(given - _COMMON - {*needed, *more})
        if strange:
            raise ValueError(f"a target of kind {self.kind!r} has no {', '.join(strange)}")
        if self.kind == "sftp" and self.key_file is None and self.password_file is None:
            raise ValueError("a target of kind 'sftp' needs key_file or password_file")
        if self.application_credential and (self.project or self.project_domain or self.user_domain):
            raise ValueError("an application credential is of one user and project: name neither, nor domains")
        is_v3 = self.application_credential or self.project is not None
        if self.kind == "swift" and not is_v3 and (self.project_domain or self.user_domain or self.region):
            raise ValueError("domains and regions are of Keystone v3: name the project, too")
