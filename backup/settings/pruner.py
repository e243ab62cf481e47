"""What backup.toml says to a pruner: its keys, and what is kept for how long."""

from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path

from backup.retention import Rules
from core.config.reader import setting


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    """What a pruner keeps of a set. Each rule keeps on its own; a chain stays for any one of its restore points."""

    keep_within: timedelta | None = field(
        default=None,
        metadata=setting("every restore point of so long before the newest one", example='"14d"', minimum=0),
    )
    keep_chains: int | None = field(default=None, metadata=setting("the newest so many chains", minimum=0))
    keep_points: int | None = field(default=None, metadata=setting("the newest so many restore points", minimum=0))
    keep_daily: int | None = field(
        default=None, metadata=setting("the newest of each of so many days that have one (UTC)", minimum=0)
    )
    keep_weekly: int | None = field(default=None, metadata=setting("the same for ISO weeks", minimum=0))
    keep_monthly: int | None = field(default=None, metadata=setting("the same for months", minimum=0))
    keep_yearly: int | None = field(default=None, metadata=setting("the same for years", minimum=0))

    @property
    def rules(self) -> Rules:
        """The rules as retention judges by them."""
        return Rules(**{each.name.removeprefix("keep_"): getattr(self, each.name) for each in fields(self)})


@dataclass(frozen=True, kw_only=True)
class PrunerSettings:
    """A pruner: its credentials may delete at the targets; it has no secret key, neither a station's nor a host's."""

    keys: Path = field(
        default=Path("keys/pruner"),
        metadata=setting("the pruner's key folder: the hosts' public keys, by which it knows their manifests"),
    )
    retention: RetentionSettings = field(
        default_factory=RetentionSettings,
        metadata=setting("what to keep of sets that say nothing of their own; without any rule everything stays"),
    )
    grace: timedelta = field(
        default=timedelta(days=1),
        metadata=setting("how long a chain stays that no rule wants any more: longer than a restore takes", minimum=0),
    )
    strays_after: timedelta = field(
        default=timedelta(days=7),
        metadata=setting("how old files of unfinished runs have to be to go: longer than any run takes", minimum=0),
    )
