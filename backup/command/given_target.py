"""A target that stands on the command line instead of in a configuration: a folder, or a kind with its settings."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from backup.errors import ConfigInvalid
from backup.settings.target import TargetSettings
from core.config.reader import ConfigError, check_table, setting_types, split_optional

_NAME: Final = "given"
_OF_THE_COMMAND_LINE: Final = Path("--with")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What --from (or --target) and each --with say."""

    target: str | None
    more: tuple[str, ...] = ()


def given_target(given: Given) -> TargetSettings:
    """Return the target: a folder's path, `file://` URL, or a kind whose settings are named as in `[[targets]]`.

    Raises ConfigInvalid naming what is wrong or missing.
    """
    said = given.target or ""
    if not given.more:
        plain = unquote(urlsplit(said).path) if said.startswith("file://") else said
        folder = Path(plain).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigInvalid(
                f"--target: {said!r} is neither a target of the configuration nor a folder; of another kind, name it"
                " and its settings: --from swift --with auth_url=URL --with user=NAME --with key_file=FILE"
                " --with container=NAME"
            )
        return TargetSettings(name=_NAME, kind="folder", folder=folder)
    types = setting_types(TargetSettings)
    table: dict[str, Any] = {"name": _NAME, "kind": said}
    for each in given.more:
        name, equals, value = each.partition("=")
        if not equals or name not in types or name in ("name", "kind"):
            known = ", ".join(field.name for field in fields(TargetSettings) if field.name not in ("name", "kind"))
            raise ConfigInvalid(f"--with {each!r}: expected NAME=VALUE, the name being one of {known}")
        table[name] = _typed(split_optional(types[name])[0], value)
    try:
        target = check_table(table, TargetSettings, _OF_THE_COMMAND_LINE)
    except ConfigError as error:
        raise ConfigInvalid(str(error)) from error
    return _absolute(target)


def _typed(kind: Any, value: str) -> Any:
    """Return a value as TOML would have it: numbers and yes or no are no texts there."""
    if kind is bool:
        return {"true": True, "false": False}.get(value.lower(), value)
    return int(value) if kind is int and value.isdigit() else value


def _absolute(target: TargetSettings) -> TargetSettings:
    changed: dict[str, Any] = {
        each.name: value.expanduser().absolute()
        for each in fields(target)
        if isinstance(value := getattr(target, each.name), Path)
    }
    return replace(target, **changed)
