"""What backup.toml says of a target: where it is, and how to sign in there."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from backup.setting_checks import check_name
from core.config.reader import setting


@dataclass(frozen=True, kw_only=True)
class TargetSettings:
    """A place backups are kept at: a folder, or a container of a Swift that speaks auth version 1."""

    name: str = field(metadata=setting("what sets call it", example='"store"', check=check_name))
    kind: Literal["folder", "swift"] = field(metadata=setting("what it is", example='"folder"'))
    folder: Path | None = field(default=None, metadata=setting("folder: where", example='"/srv/backup"'))
    auth_url: str | None = field(
        default=None, metadata=setting("swift: where to log in", example='"https://swift.example/auth/v1.0"')
    )
    user: str | None = field(default=None, metadata=setting("swift: ACCOUNT:USER", example='"backup:web1"'))
    key_file: Path | None = field(default=None, metadata=setting("swift: file whose first line is the user's key"))
    container: str | None = field(
        default=None, metadata=setting("swift: the container", example='"watchkeep"', check=check_name)
    )
    timeout: timedelta = field(
        default=timedelta(seconds=30), metadata=setting("how long a request may stay without answer", minimum=1)
    )

    def __post_init__(self) -> None:
        needed = {"folder": ("folder",), "swift": ("auth_url", "user", "key_file", "container")}[self.kind]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a target of kind {self.kind!r} needs {', '.join(missing)}")
