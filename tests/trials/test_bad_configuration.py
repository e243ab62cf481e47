"""Broken configuration of every daemon and broken definitions: each fault is named at once, nothing starts half."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

CHECKOUT: Final = Path(__file__).parents[2]
DAEMONS: Final = {
    "server": ("-m", "watchkeep", "server"),
    "proxy": ("-m", "watchkeep", "proxy"),
    "agent": ("-m", "agent"),
}
PROXY_KEY: Final = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
MANY_FAULTS: Final = {
    "server": (
        'name = 7\nkey_file = "k"\nlisten_on = "::1"\ncontrol_port = -1\nretention = "5 minutes"\nlog = "xml"\n',
        ("name: ", "dsn: is missing", "listen_on: unknown setting", "control_port: ", "retention: ", "log: "),
    ),
    "proxy": (
        'data = "d"\nkey_file = "k"\ncontrol_port = 70000\nspool_limit = "plenty"\n'
        '[[servers]]\nendpoint = "server1"\nkey = "secret"\n',
        ("name: is missing", "control_port: ", "spool_limit: ", "servers[0].endpoint: ", "servers[0].key: "),
    ),
    "agent": (
        'name = "x"\nsource = "not-a-uuid"\ndata = "d"\nkey_file = "k"\nspool_limit = "1B"\nupstreams = []\nhue = 1\n',
        ("source: ", "spool_limit: ", "upstreams: ", "hue: unknown setting"),
    ),
}
UNREADABLE: Final = {
    "missing": (None, "cannot be read: No such file"),
    "not TOML": (b"name = \n[", "is not valid TOML"),
    "not text": (b"\xff\xfe\x00", "is not UTF-8 text"),
}
pytestmark = pytest.mark.trial("S-1")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=CHECKOUT, capture_output=True, text=True, timeout=110, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("daemon", DAEMONS)
def test_all_faults_of_a_configuration_are_told_at_once(tmp_path: Path, daemon: str) -> None:
    text, places = MANY_FAULTS[daemon]
    file = tmp_path / f"{daemon}.toml"
    file.write_text(text)
    done = run(*DAEMONS[daemon], "--config", str(file))
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines), done.stderr
    for place in places:
        assert [line for line in lines if line.startswith(f"{file}: {place}")], (place, done.stderr)
    assert len(lines) == len(places)
    assert all("expected" in line or "is missing" in line for line in lines), done.stderr
    assert list(tmp_path.iterdir()) == [file], "nothing was made by a daemon that does not start"


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, daemon: str, kind: str) -> None:
    content, reason = UNREADABLE[kind]
    file = tmp_path / f"{daemon}.toml"
    if content is not None:
        file.write_bytes(content)
    done = run(*DAEMONS[daemon], "--config", str(file))
    assert done.returncode == 2
    assert f"{file}: {reason}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("daemon", ["proxy", "agent"])
def test_a_damaged_key_file_ends_the_start_and_is_left_as_it_is(tmp_path: Path, daemon: str) -> None:
    (tmp_path / "key").write_text("this is no key pair\n")
    list_name = "servers" if daemon == "proxy" else "upstreams"
    source = "" if daemon == "proxy" else 'source = "2f9d4c1e-7f0a-4c6b-9a51-0c5d8f1b2e3a"\n'
    file = tmp_path / f"{daemon}.toml"
    file.write_text(
        f'name = "x"\n{source}data = "d"\nkey_file = "key"\n'
        f"[[{list_name}]]\nendpoint = \"tcp://127.0.0.1:9\"\nkey = '{PROXY_KEY}'\n"
    )
    done = run(*DAEMONS[daemon], "--config", str(file))
    assert done.returncode == 1
    assert str(tmp_path / "key") in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "key").read_text() == "this is no key pair\n"


def test_all_faults_of_all_definitions_are_told_at_once_with_place_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "kind: template\nname: shop\nitems:\n  - {probe: no-such-probe, every: 10s}\n  - {probe: cpu, every: soon}\n"
        "triggers:\n  - name: Broken\n    expression: last(cpu.busy >\n    severity: terrible\n"
    )
    (tmp_path / "b.yaml").write_text("kind: host\nname: db 1\ntemplate: [shop]\n---\nkind: painting\nname: x\n")
    (tmp_path / "c.yaml").write_text("kind: receiver\n  name: [")
    done = run("-m", "watchkeep", "apply", "--data", str(tmp_path / "none"), *map(str, sorted(tmp_path.glob("*.yaml"))))
    assert done.returncode == 2
    told = done.stdout + done.stderr
    for file in "abc":
        assert str(tmp_path / f"{file}.yaml") in told, told
    for place in ("no-such-probe", "soon", "terrible", "db 1", "template", "painting", "expression"):
        assert place in told, (place, told)
    assert "Traceback" not in told
