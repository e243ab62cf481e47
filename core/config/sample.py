"""Derives the sample file and the help text from a config's declaration, so that neither can disagree with it."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any, Final, get_args, get_origin

from core.config.reader import ByteSize, expectation, setting_types, split_optional

_DURATION_STEPS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_SIZE_STEPS: Final = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def sample_file(kind: type[Any]) -> str:
    """Return a TOML file with every setting of `kind`, described; optional ones are commented out."""
    return "\n".join(_scalar_lines(kind) + _table_lines(kind, "")).strip() + "\n"


def settings_help(kind: type[Any], path: str = "") -> str:
    """Return one line a setting for `--help`: its path, what it means, what is expected, its default."""
    lines: list[str] = []
    types = setting_types(kind)
    for field in fields(kind):
        declared, nested, is_array = _nested(types[field.name])
        name = f"{path}{field.name}"
        default = "required" if _is_required(field) else f"default {default_text(field, declared)}"
        lines.append(f"  {name}: {field.metadata['description']} ({expectation(declared)}; {default})")
        if nested is not None:
            lines.append(settings_help(nested, f"{name}{'[]' if is_array else ''}."))
    return "\n".join(lines)


def default_text(field: dataclasses.Field[Any], declared: Any) -> str:
    """Return a field's default as TOML text ("none" for None)."""
    value = field.default if field.default is not MISSING else None
    if value is None:
        return "none"
    return _toml(value, split_optional(declared)[0])


def _toml(value: Any, declared: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return _duration_text(value)
    if declared is ByteSize:
        for step, unit in _SIZE_STEPS:
            if value >= step and value % step == 0:
                return f'"{value // step}{unit}"'
    if isinstance(value, int | float):
        return f"{value}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(entry, None) for entry in value) + "]"
    return f'"{value}"'


def _duration_text(value: timedelta) -> str:
    seconds = value.total_seconds()
    for step, unit in _DURATION_STEPS:
        if seconds >= step and seconds % step == 0:
            return f'"{seconds / step:g}{unit}"'
    return f'"{seconds * 1000:g}ms"'


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _nested(declared: Any) -> tuple[Any, Any, bool]:
    """Return the type without None, the config inside it (or None), and whether it is an array of them."""
    declared, _ = split_optional(declared)
    if dataclasses.is_dataclass(declared):
        return declared, declared, False
    if get_origin(declared) is tuple and dataclasses.is_dataclass(get_args(declared)[0]):
        return declared, get_args(declared)[0], True
    return declared, None, False


def _scalar_lines(kind: type[Any]) -> list[str]:
    lines: list[str] = []
    types = setting_types(kind)
    for field in fields(kind):
        declared, nested, _ = _nested(types[field.name])
        if nested is not None:
            continue
        is_required = _is_required(field)
        text = field.metadata["example"]
        if text is None:
            text = '""' if is_required else default_text(field, declared)
        lines.append(f"# {field.metadata['description']}")
        lines.append(f"{'' if is_required else '# '}{field.name} = {text}")
    return lines


def _table_lines(kind: type[Any], path: str) -> list[str]:
    lines: list[str] = []
    types = setting_types(kind)
    for field in fields(kind):
        _, nested, is_array = _nested(types[field.name])
        if nested is None:
            continue
        name = f"{path}{field.name}"
        mark = "" if _is_required(field) else "# "
        body = _scalar_lines(nested) + _table_lines(nested, f"{name}.")
        lines.append("")
        lines.append(f"# {field.metadata['description']}")
        lines.append(f"{mark}[[{name}]]" if is_array else f"{mark}[{name}]")
        lines.extend(line if not line or line.startswith("#") else f"{mark}{line}" for line in body)
    return lines
