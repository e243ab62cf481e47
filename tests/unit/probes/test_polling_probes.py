"""How what devices say is read: counters, names, what commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config.reader import ConfigError, check_table
from probes.declaration import Failure, ProbeFailedError, Reading
from probes.device import Device, DeviceVisit, Shared, SnmpAccess
from probes.registry import find_probe, probe_names
from probes.snmp.interfaces import name_rows
from probes.snmp.oid import check_oid, is_below, parse_oid
from probes.ssh.command import Parameters, read_output

NAME, DESCRIPTION = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1), (1, 3, 6, 1, 2, 1, 2, 2, 1, 2)


def visit(secrets: Path = Path("nowhere")) -> DeviceVisit:
    return DeviceVisit(Device(host="h", address="192.0.2.1"), secrets, Shared())


def grown(*totals: float, bits: int) -> list[float | None]:
    at = visit()
    found = []
    for second, total in enumerate(totals, 1):
        at.begin(float(second))
        found.append(at.grown("x", total, bits))
    return found


def test_a_32_bit_counter_that_wraps_grows_on_and_one_that_was_reset_does_not() -> None:
    assert grown(2.0**32 - 10, 5, bits=32) == [None, 15.0]
    assert grown(5_000, 3, 10, bits=32) == [None, None, 7.0], "a reset"
    assert grown(2.0**64 - 10, 5, bits=64) == [None, None], "64 bits do not wrap in our lifetime"


def test_a_round_that_found_nothing_leaves_the_next_rate_whole() -> None:
    at = visit()
    at.begin(10.0)
    at.grown("x", 100.0, 64)
    at.begin(20.0)
    at.begin(30.0)
    assert at.grown("x", 300.0, 64) == 200.0
    assert at.seconds == 20.0


def test_two_interfaces_of_the_same_name_are_told_apart() -> None:
    table = {(1,): {NAME: "eth"}, (2,): {NAME: "eth"}, (3,): {DESCRIPTION: "long name"}, (4,): {}}
    assert [name for name, _ in name_rows(table)] == ["eth", "eth#2", "long name", "4"]  # type: ignore[arg-type]  # texts


@pytest.mark.parametrize("text", ["ifIndex", "1.3.", "3.1", "1.3.6.1.4.1.99999999999", "1", "1.03"])
def test_what_is_no_object_identifier_is_refused(text: str) -> None:
    assert check_oid(text) is not None


def test_object_identifiers_are_numbers() -> None:
    assert check_oid(".1.3.6.1") is None
    assert parse_oid(".1.3.6.1") == (1, 3, 6, 1)
    assert is_below((1, 3, 6), (1, 3))
    assert not is_below((1, 3), (1, 3))


def test_what_a_command_prints_is_a_number_a_text_or_lines() -> None:
    number = Parameters(name="n", command=("x",), unit="B")
    assert list(read_output(" 42 \n", number)) == [Reading("ssh.value", 42.0, "n", "B")]
    (failure,) = read_output("many", number)
    assert isinstance(failure, Failure)
    (failure,) = read_output("nan", number)
    assert isinstance(failure, Failure)
    text = Parameters(name="n", command=("x",), output="text")
    assert list(read_output("a\nb\n", text)) == [Reading("ssh.text", "a\nb", "n")]
    lines = Parameters(name="n", command=("x",), output="lines")
    assert list(read_output("a b 1\n\nc 2.5\n", lines)) == [
        Reading("ssh.value", 1.0, "a b"),
        Reading("ssh.value", 2.5, "c"),
    ]


def test_a_secret_is_named_and_never_shown_and_no_other_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "community").write_text("hidden\n")
    (tmp_path / "empty").write_text("\n")
    at = visit(tmp_path)
    assert at.secret("community") == "hidden"
    for name, word in (("absent", "absent"), ("empty", "empty"), ("../community", "not the name")):
        with pytest.raises(ProbeFailedError, match=word):
            at.secret(name)


def test_credentials_that_are_not_whole_are_refused() -> None:
    for table in ({"version": "3", "user": "u"}, {}, {"community_file": "../x"}):
        with pytest.raises(ConfigError):
            check_table(table, SnmpAccess, Path("x"))


def test_every_probe_says_where_it_runs() -> None:
    polled = {name for name in probe_names() if (found := find_probe(name)) is not None and found.place == "proxy"}
    assert polled == {"snmp.get", "snmp.interfaces", "snmp.walk", "ssh.command"}
