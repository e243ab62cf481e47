"""What backup.toml says as a whole: whose machine this is, its keys, its targets, its sets."""

from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from backup.errors import ConfigInvalid
from backup.settings.backup_set import SetSettings
from backup.settings.checks import check_name
from backup.settings.drill import DrillSettings
from backup.settings.keys import KeySettings
from backup.settings.pruner import PrunerSettings
from backup.settings.target import TargetSettings
from backup.settings.verification import VerificationSettings
from core.config.reader import ConfigError, read_config, setting


@dataclass(frozen=True, kw_only=True)
class BackupSettings:
    """Everything the `bkp` command is told. Relative paths count from backup.toml's folder."""

    host: str = field(
        metadata=setting("name of this machine, as Watchkeep knows it", example='"web1"', check=check_name)
    )
    work: Path = field(
        default=Path("work"), metadata=setting("caches, scratch space, locks and the journal; private to its owner")
    )
    at_once: int = field(default=1, metadata=setting("how many sets the agent may save side by side", minimum=1))
    state: Path = field(default=Path("state"), metadata=setting("where SET.json says how the last run went"))
    keys: KeySettings = field(default_factory=KeySettings, metadata=setting("the keys"))
    targets: tuple[TargetSettings, ...] = field(default=(), metadata=setting("places backups are kept at"))
    sets: tuple[SetSettings, ...] = field(default=(), metadata=setting("what is saved"))
    pruner: PrunerSettings | None = field(default=None, metadata=setting("this machine deletes what is out of date"))
    drills: DrillSettings = field(
        default_factory=DrillSettings, metadata=setting("at a restore station: how restore points are proven")
    )
    verification: VerificationSettings = field(
        default_factory=VerificationSettings,
        metadata=setting("at a restore station: when what lies at the targets is compared with what was sent there"),
    )
    marks: TargetSettings | None = field(
        default=None,
        metadata=setting("at a restore station and a pruner: where readers say what they read, so that it stays"),
    )

    def __post_init__(self) -> None:
        targets = [target.name for target in self.targets]
        saved = [each.name for each in self.sets if each.sources]
        sets = [f"{self.host_of(each)}/{each.name}" for each in self.sets]
        for kind, names in (("target", targets), ("set", saved), ("set", sets)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} {twice[0]!r} is there twice")
        lost = [(each.name, name) for each in self.sets for name in each.targets if name not in targets]
        if lost:
            raise ValueError(f"set {lost[0][0]!r} names the target {lost[0][1]!r}, which is not there")
        if self.keys.station is not None and self.keys.station == self.keys.host:
            raise ValueError("keys: host and station need folders of their own: a host never holds a decryption key")
        if self.pruner is not None:
            self._check_pruner(self.pruner)

    def _check_pruner(self, pruner: PrunerSettings) -> None:
        if self.keys.station is not None:
            raise ValueError("pruner: who may delete holds no decryption key: give it a configuration of its own")
        long = [each.name for each in self.sets if each.time_limit >= pruner.strays_after]
        if long:
            raise ValueError(f"pruner.strays_after: runs of set {long[0]!r} may take longer (its time_limit)")

    def find_set(self, name: str) -> SetSettings:
        """Return a set by name, this machine's own before other hosts'. Raises ConfigInvalid naming those there are."""
        found = [each for each in self.sets if each.name == name]
        found = [each for each in found if self.host_of(each) == self.host] or found
        if not found:
            known = ", ".join(sorted({each.name for each in self.sets})) or "none"
            raise ConfigInvalid(f"there is no backup set {name!r}; known: {known}")
        if len(found) > 1:
            known = ", ".join(sorted(f"{self.host_of(each)}/{each.name}" for each in found))
            raise ConfigInvalid(f"{name!r} is a set of several hosts, say which: {known}")
        return found[0]

    def has_set(self, chosen: SetSettings) -> bool:
        """Tell whether a set stands in the configuration, at whichever of its targets it is looked at."""
        known = {(self.host_of(each), each.name) for each in self.sets}
        return (self.host_of(chosen), chosen.name) in known

    def find_target(self, name: str) -> TargetSettings:
        """Return a target by name. Raises ConfigInvalid."""
        for target in self.targets:
            if target.name == name:
                return target
        raise ConfigInvalid(f"there is no target {name!r}")

    def demand_pruner(self) -> PrunerSettings:
        """Return what a pruner is told. Raises ConfigInvalid on a machine that is none."""
        if self.pruner is None:
            raise ConfigInvalid("this is no pruner's configuration: [pruner] makes it one (docs/backup-retention.md)")
        return self.pruner

    def host_of(self, chosen: SetSettings) -> str:
        """Return the host a set belongs to: the first folder of its place at the target."""
        return chosen.host or self.host


def read_settings(path: Path) -> BackupSettings:
    """Read backup.toml; every path returned is absolute. Raises ConfigInvalid with every fault, one a line."""
    try:
        settings: BackupSettings = _anchor(read_config(path, BackupSettings), path.absolute().parent)
    except ConfigError as error:
        raise ConfigInvalid(str(error)) from error
    except ValueError as error:  # two paths that are one only when both are whole
        raise ConfigInvalid(f"{path}: {error}") from error
    return settings


def _anchor(config: Any, folder: Path) -> Any:
    """Return `config` with every relative path counted from `folder`; the reader leaves defaults as they are."""
    changed: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if isinstance(value, Path):
            changed[each.name] = folder / value
        elif is_dataclass(value):
            changed[each.name] = _anchor(value, folder)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            changed[each.name] = tuple(_anchor(entry, folder) for entry in value)
    return replace(config, **changed)
