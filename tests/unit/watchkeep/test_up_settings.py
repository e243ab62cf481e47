"""What `watchkeep up` writes into its parts' settings at each start, and what it leaves to whoever changed them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from agent.settings import AgentSettings
from core.config.reader import read_config
from server.settings import ServerSettings
from watchkeep.up.enrolment import Enrolled
from watchkeep.up.faults import UpError
from watchkeep.up.layout import Gate, Layout, LocalAgent, Ports
from watchkeep.up.parts import Backups, write_configurations

if TYPE_CHECKING:
    from pathlib import Path

PORTS = Ports(web=8642, server_control=1, server_data=2, feed=5, gate=Gate(control_port=3, data_port=4), is_gated=True)
AGENT = LocalAgent(name="db1", source=UUID(int=7))
ENROLLED = Enrolled(server_key="s" * 40, proxy_key="p" * 40)


def start(data: Path, ports: Ports = PORTS, backups: Path | None = None) -> None:
    layout = Layout(data=data)
    layout.make()
    wanted = Backups() if backups is None else Backups(host_file=backups, station_file=backups)
    write_configurations(layout, ports, AGENT, ENROLLED, "postgresql://here", wanted)


def add(file: Path, text: str) -> None:
    file.write_text(text + file.read_text())


def test_settings_a_user_added_stay_over_the_next_starts_and_those_of_the_start_are_its_own(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path / "agent.toml", 'commands = ["/usr/lib/nagios/plugins"]\nlogs = ["/var/log", "/srv/shop \\"1\\""]\n')
    add(tmp_path / "server.toml", 'retention = "7d"\nweb_is_https = true\n')
    for web in (9000, 9001):
        start(tmp_path, replace(PORTS, web=web))
        agent = read_config(tmp_path / "agent.toml", AgentSettings)
        assert [str(path) for path in agent.commands] == ["/usr/lib/nagios/plugins"]
        assert [str(path) for path in agent.logs] == ["/var/log", '/srv/shop "1"']
        assert agent.upstreams[0].key == ENROLLED.proxy_key
        server = read_config(tmp_path / "server.toml", ServerSettings)
        assert (server.retention, server.web_is_https, server.web_port) == (timedelta(days=7), True, web)


def test_what_only_some_starts_set_does_not_stay_from_one_to_another(tmp_path: Path) -> None:
    start(tmp_path, backups=tmp_path / "backup.toml")
    assert read_config(tmp_path / "agent.toml", AgentSettings).backup == tmp_path / "backup.toml"
    start(tmp_path, replace(PORTS, is_gated=False))
    assert read_config(tmp_path / "agent.toml", AgentSettings).backup is None
    server = read_config(tmp_path / "server.toml", ServerSettings)
    assert (server.restore_station, server.enrolment_port, server.enrolment_upstreams) == (None, None, ())
    assert not server.enrolment_by_approval


def test_a_file_that_cannot_be_understood_stops_the_start_and_stays_as_it_is(tmp_path: Path) -> None:
    start(tmp_path)
    file = tmp_path / "agent.toml"
    add(file, "commands = [/usr/bin]\n")
    before = file.read_text()
    with pytest.raises(UpError, match=r"agent\.toml cannot be understood .*: correct it, or delete it"):
        start(tmp_path)
    assert file.read_text() == before
