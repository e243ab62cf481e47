"""A config file is read as declared, or refused with everything that is wrong with it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest

from core.config.reader import ByteSize, ConfigError, parse_config, read_config, setting
from core.config.sample import sample_file, settings_help


@dataclass(frozen=True, kw_only=True)
class Limits:
    size: ByteSize = field(default=ByteSize(256 << 20), metadata=setting("room for what waits"))
    wait: timedelta = field(default=timedelta(seconds=10), metadata=setting("patience", minimum=1))


def check_endpoint(text: str) -> str | None:
    return None if text.startswith("tcp://") else "expected tcp://HOST:PORT"


def check_any(found: tuple[object, ...]) -> str | None:
    return None if found else "expected at least one"


@dataclass(frozen=True, kw_only=True)
class Upstream:
    endpoint: str = field(metadata=setting("where to connect", example='"tcp://localhost:1"', check=check_endpoint))
    key: str = field(repr=False, metadata=setting("its public key", example='"abc"'))


@dataclass(frozen=True, kw_only=True)
class Sample:
    name: str = field(metadata=setting("what it is called", example='"db1"'))
    source: UUID = field(metadata=setting("its id", example='"2f9d4c1e-7f0a-4c6b-9a51-0c5d8f1b2e3a"'))
    data: Path = field(metadata=setting("where its data lies", example='"var"'))
    port: int = field(default=7, metadata=setting("a port", minimum=1))
    ratio: float = field(default=0.5, metadata=setting("a share"))
    is_fast: bool = field(default=False, metadata=setting("whether to hurry"))
    mode: Literal["a", "b"] = field(default="a", metadata=setting("how"))
    note: str | None = field(default=None, metadata=setting("a remark"))
    tags: tuple[str, ...] = field(default=(), metadata=setting("labels"))
    limits: Limits = field(default=Limits(), metadata=setting("bounds"))
    upstreams: tuple[Upstream, ...] = field(metadata=setting("whom to deliver to", check=check_any))


WHOLE = """
name = "db1"
source = "2f9d4c1e-7f0a-4c6b-9a51-0c5d8f1b2e3a"
data = "var"
ratio = 2
tags = ["x", "y"]
note = "hello"
[limits]
size = "4MiB"
wait = "1.5m"
[[upstreams]]
endpoint = "tcp://one:1"
key = "k"
"""


SCALARS = WHOLE.split("[limits]", maxsplit=1)[0]


def faults_of(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Sample, Path("conf/x.toml"))
    assert all(str(fault.file) == "conf/x.toml" for fault in caught.value.faults)
    return {fault.path: fault.expected for fault in caught.value.faults}


def test_a_whole_file_becomes_the_declared_types(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(WHOLE)
    read = read_config(file, Sample)
    assert read.source == UUID("2f9d4c1e-7f0a-4c6b-9a51-0c5d8f1b2e3a")
    assert read.limits == Limits(size=ByteSize(4 << 20), wait=timedelta(seconds=90))
    assert read.upstreams == (Upstream(endpoint="tcp://one:1", key="k"),)
    assert (read.ratio, read.port, read.tags, read.note, read.mode) == (2.0, 7, ("x", "y"), "hello", "a")


def test_relative_paths_count_from_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    assert parse_config(WHOLE, Sample, tmp_path / "x.toml").data == tmp_path / "var"
    assert parse_config(WHOLE.replace('"var"', '"/srv/x"'), Sample, tmp_path / "x.toml").data == Path("/srv/x")


def test_all_faults_come_at_once_each_with_its_path_and_what_was_expected() -> None:
    found = faults_of(
        """
        nam = "db1"
        source = "not-a-uuid"
        port = true
        mode = "c"
        tags = ["x", 3]
        [limits]
        wait = "soon"
        size = "lots"
        speed = 3
        [[upstreams]]
        endpoint = "udp://one"
        [[upstreams]]
        endpoint = "tcp://two:1"
        key = 7
        """
    )
    assert found.keys() == {
        "nam", "name", "source", "data", "port", "mode", "tags[1]", "limits.wait", "limits.size", "limits.speed",
        "upstreams[0].endpoint", "upstreams[0].key", "upstreams[1].key",
    }  # fmt: skip
    assert "unknown setting" in found["nam"]
    assert "name" in found["nam"]
    assert "is missing" in found["name"]
    assert "a UUID such as" in found["source"]
    assert "'not-a-uuid'" in found["source"]
    assert "a whole number" in found["port"]
    assert '"a", "b"' in found["mode"]
    assert '"10s"' in found["limits.wait"]
    assert '"256MiB"' in found["limits.size"]
    assert found["upstreams[0].endpoint"] == "expected tcp://HOST:PORT"


def test_a_secret_is_shown_neither_in_a_fault_nor_in_the_repr() -> None:
    assert "7654321" not in faults_of(WHOLE.replace('key = "k"', "key = 7654321"))["upstreams[0].key"]
    assert "hidden!" not in repr(Upstream(endpoint="tcp://x:1", key="hidden!"))


def test_a_value_below_its_minimum_is_refused_with_the_bound() -> None:
    assert "at least 1" in faults_of("port = 0\n" + WHOLE)["port"]
    assert "at least 1 seconds" in faults_of(WHOLE.replace("1.5m", "10ms"))["limits.wait"]


def test_an_empty_array_fails_its_check() -> None:
    assert faults_of(SCALARS + "upstreams = []") == {"upstreams": "expected at least one"}


def test_a_scalar_in_the_place_of_a_table_or_array_is_a_fault_not_a_crash() -> None:
    found = faults_of("limits = 3\nupstreams = 4\n" + SCALARS)
    assert "a table" in found["limits"]
    assert "array of tables" in found["upstreams"]
    assert "array of tables" not in faults_of("upstreams = [4]\n" + SCALARS)["upstreams[0]"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name = ", "is not valid TOML"), (b"name = '\xff'", "is not UTF-8"), (None, "cannot be read")],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "x.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(file, Sample)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["10", "s", "-1s", "1w", "1 0s", "1e3s", "9999999999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert "a duration such as" in faults_of(WHOLE.replace("1.5m", text))["limits.wait"]


def test_the_sample_file_reads_back_as_the_defaults(tmp_path: Path) -> None:
    sample = sample_file(Sample)
    read = parse_config(sample, Sample, tmp_path / "x.toml")
    assert (read.name, read.port, read.limits) == ("db1", 7, Limits())


def test_the_sample_file_with_its_comments_opened_is_valid_too(tmp_path: Path) -> None:
    lines = []
    for line in sample_file(Sample).splitlines():
        opened = line.removeprefix("# ")
        is_setting = opened.startswith("[") or (" = " in opened and not opened.endswith("= none"))
        lines.append(opened if is_setting else line)
    text = "\n".join(lines)
    assert tomllib.loads(text)["limits"] == {"size": "256MiB", "wait": "10s"}
    assert parse_config(text, Sample, tmp_path / "x.toml").limits == Limits()


def test_the_help_names_every_setting_with_its_description_and_default() -> None:
    text = settings_help(Sample)
    for part in ("name: what it is called", "limits.wait: patience", "upstreams[].endpoint", 'default "10s"'):
        assert part in text
