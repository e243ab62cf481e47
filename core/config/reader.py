"""Reads a TOML file into a frozen dataclass; the declaration is the only description of the file there is.

A config is a keyword-only frozen dataclass whose fields carry a `setting()`; the module that declares one has no
`from __future__ import annotations`, because the types are read at run time. They say what is accepted:
`str`, `int`, `float`, `bool`, `Path` (relative ones count from the file's folder), `UUID`, `timedelta` ("10s",
"500ms", "5m", "2h", "1d"), `ByteSize` ("256MiB" or a number of bytes), `Literal[...]`, another config (a table),
`tuple[X, ...]` (an array, of tables when X is a config) and `X | None`.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import MISSING, dataclass, fields
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Config = TypeVar("Config")
ByteSize = NewType("ByteSize", int)

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h|d)")
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"(\d+) ?(B|KiB|MiB|GiB|TiB)")
_UNIT_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SHOWN_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a file: `path` names the setting ("upstreams[1].key"), `expected` what belongs there."""

    file: Path
    path: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.path}" if self.path else str(self.file)
        return f"{place}: {self.expected}"


class ConfigError(Exception):
    """A file cannot be used; `faults` holds everything that is wrong with it, and the text is one fault a line."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class _UnfitError(ValueError):
    """A single value does not fit; the text says what was expected."""


def setting(
    description: str,
    *,
    example: str | None = None,
    minimum: float | None = None,
    check: Callable[[Any], str | None] | None = None,
) -> dict[str, Any]:
    """Describe one setting: `name: T = field(default=..., metadata=setting("..."))`; no default means required.

    `example` is the TOML text the sample file shows for it. `minimum` bounds numbers (durations in seconds).
    `check` gets the converted value and returns what was expected instead, or None when it fits.
    A field with `repr=False` is a secret: its value stays out of error messages too.
    """
    return {"description": description, "example": example, "minimum": minimum, "check": check}


def read_config(path: Path, kind: type[Config]) -> Config:
    """Read `path` as a `kind`. Raises ConfigError with every fault at once; the file is never half applied."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([Fault(file=path, path="", expected=f"cannot be read: {reason}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(file=path, path="", expected=f"is not UTF-8 text: {error}")]) from error
    return parse_config(text, kind, path)


def parse_config(text: str, kind: type[Config], path: Path) -> Config:
    """Read TOML `text` that came from `path` as a `kind`. Raises ConfigError with every fault at once."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(file=path, path="", expected=f"is not valid TOML: {error}")]) from error
    return check_table(table, kind, path)


def check_table(table: Mapping[str, Any], kind: type[Config], origin: Path, path: str = "") -> Config:
    """Read an already decoded `table` as a `kind`; `origin` and `path` say in a fault where it came from.

    Raises ConfigError with every fault at once.
    """
    reader = _Reader(origin)
    config = reader.read_table(kind, table, path)
    if reader.faults:
        raise ConfigError(reader.faults)
    return config  # type: ignore[no-any-return]  # without faults it is a `kind`


def parse_duration(text: str) -> timedelta | None:
    """Return "10s", "500ms", "5m", "2h" or "1d" as a timedelta, None when the text is no duration."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    try:
        return timedelta(seconds=float(match[1]) * _UNIT_SECONDS[match[2]])
    except OverflowError:
        return None


def setting_types(kind: type[Any]) -> dict[str, Any]:
    """Return each field's resolved type, by name."""
    return get_type_hints(kind)


def split_optional(declared: Any) -> tuple[Any, bool]:
    """Return the type without `None`, and whether None was allowed."""
    if get_origin(declared) in (Union, UnionType):
        arms = [arm for arm in get_args(declared) if arm is not NoneType]
        if len(arms) == 1:
            return arms[0], True
    return declared, False


class _Reader:
    """One pass over one file, gathering faults instead of stopping at the first."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.folder = file.absolute().parent
        self.faults: list[Fault] = []

    def report(self, path: str, expected: str) -> None:
        self.faults.append(Fault(file=self.file, path=path, expected=expected))

    def read_table(self, kind: type[Any], table: Mapping[str, Any], path: str) -> Any:
        """Return a `kind`, or None when a fault was reported."""
        before = len(self.faults)
        declared = {field.name: field for field in fields(kind)}
        types = setting_types(kind)
        for key in table:
            if not isinstance(key, str) or key not in declared:
                known = f"expected one of {', '.join(declared)}" if declared else "there are none here"
                self.report(_join(path, str(key)), f"unknown setting; {known}")
        values: dict[str, Any] = {}
        for name, field in declared.items():
            if name in table:
                values[name] = self.read_value(types[name], table[name], _join(path, name), field)
            elif field.default is MISSING and field.default_factory is MISSING:
                self.report(_join(path, name), f"is missing; expected {expectation(types[name])}")
        if len(self.faults) > before:
            return None
        try:
            return kind(**values)
        except ValueError as error:  # a rule over several settings, stated in the declaration's __post_init__
            self.report(path, str(error))
            return None

    def read_value(self, declared: Any, value: Any, path: str, field: dataclasses.Field[Any]) -> Any:
        declared, _ = split_optional(declared)
        if dataclasses.is_dataclass(declared):
            if isinstance(value, dict):
                return self.read_table(declared, value, path)  # type: ignore[arg-type]  # a type, not an instance
            self.report(path, f"expected a table, found {_show(value, field)}")
            return None
        if get_origin(declared) is tuple:
            if not isinstance(value, list):
                self.report(path, f"expected {expectation(declared)}, found {_show(value, field)}")
                return None
            element = get_args(declared)[0]
            values = tuple(
                self.read_value(element, entry, f"{path}[{place}]", _without_check(field))
                for place, entry in enumerate(value)
            )
            return self.checked(values, path, field)
        try:
            return self.checked(_convert(declared, value, self.folder), path, field)
        except _UnfitError:
            self.report(path, f"expected {expectation(declared)}, found {_show(value, field)}")
            return None

    def checked(self, value: Any, path: str, field: dataclasses.Field[Any]) -> Any:
        minimum = field.metadata.get("minimum")
        amount = value.total_seconds() if isinstance(value, timedelta) else value
        if minimum is not None and amount < minimum:
            unit = " seconds" if isinstance(value, timedelta) else ""
            self.report(path, f"expected at least {minimum:g}{unit}, found {amount:g}{unit}")
        check = field.metadata.get("check")
        complaint = check(value) if check is not None and not self.has_fault_below(path) else None
        if complaint is not None:
            self.report(path, complaint)
        return value

    def has_fault_below(self, path: str) -> bool:
        return any(fault.path.startswith(path) for fault in self.faults)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _without_check(field: dataclasses.Field[Any]) -> dataclasses.Field[Any]:
    """The elements of an array are judged by type; `check` and `minimum` judge the whole array."""
    judged: dataclasses.Field[Any] = dataclasses.field(
        repr=field.repr, metadata={**field.metadata, "check": None, "minimum": None}
    )
    return judged


def _show(value: Any, field: dataclasses.Field[Any]) -> str:
    if not field.repr:
        return "another value (not shown)"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _convert(declared: Any, value: Any, folder: Path) -> Any:  # noqa: C901, PLR0911, PLR0912 - one branch a type
    """Return `value` as the declared scalar. Raises _UnfitError when it is none."""
    if declared is bool and isinstance(value, bool):
        return value
    if isinstance(value, bool):
        raise _UnfitError
    if declared is str and isinstance(value, str) and value:
        return value
    if declared is int and isinstance(value, int):
        return value
    if declared is float and isinstance(value, int | float):
        return float(value)
    if declared is Path and isinstance(value, str) and value:
        return folder / value
    if declared is UUID and isinstance(value, str):
        try:
            return UUID(value)
        except ValueError as error:
            raise _UnfitError from error
    if declared is timedelta and isinstance(value, str):
        duration = parse_duration(value)
        if duration is not None:
            return duration
    if declared is ByteSize:
        if isinstance(value, int) and value >= 0:
            return value
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is not None:
            return int(match[1]) * _UNIT_BYTES[match[2]]
    if get_origin(declared) is Literal and value in get_args(declared):
        return value
    raise _UnfitError


_EXPECTATIONS: Final[dict[Any, str]] = {
    str: "a text that is not empty",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    UUID: 'a UUID such as "2f9d4c1e-7f0a-4c6b-9a51-0c5d8f1b2e3a"',
    timedelta: 'a duration such as "10s", "5m" or "1h"',
    ByteSize: 'a size such as "256MiB"',
}


def expectation(declared: Any) -> str:
    """Say in words what a value of the declared type looks like."""
    declared, _ = split_optional(declared)
    if get_origin(declared) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(declared))
    if get_origin(declared) is tuple:
        element = get_args(declared)[0]
        if dataclasses.is_dataclass(element):
            return "an array of tables"
        return f"an array; each element {expectation(element)}"
    if dataclasses.is_dataclass(declared):
        return "a table"
    return _EXPECTATIONS[declared]
