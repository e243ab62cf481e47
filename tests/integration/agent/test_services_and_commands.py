"""A real agent looks at services over TLS, which it begins without, and starts what its own settings allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.integration.agent.process import SOURCE, agent_process, make_keys_of, write_settings
from tests.support.collecting import Desk, collecting
from tests.support.waiting import until
from tests.unit.probes.serving import make_authority, serving_http

if TYPE_CHECKING:
    from pathlib import Path


def entry(probe: str, **parameters: Any) -> dict[str, Any]:
    return {"probe": probe, "interval_seconds": 3600, "parameters": parameters}


async def test_an_agent_reads_sites_certificates_and_allowed_programs_and_refuses_others(tmp_path: Path) -> None:
    keys = make_keys_of(tmp_path)
    authority = make_authority(tmp_path)
    plugin = tmp_path / "check_it"
    plugin.write_text('#!/bin/sh\necho "WARN | it=$1ms"\nexit 1\n')
    plugin.chmod(0o755)
    desk = Desk()
    with serving_http(authority.context(tmp_path, "127.0.0.1", days=9)) as (port, _):
        trust = {"ca_file": str(authority.file), "name": "shop"}
        desk.document = {
            "probes": [
                entry("http.get", url=f"https://127.0.0.1:{port}/", **trust),
                entry("tls.certificate", host="127.0.0.1", port=port, **trust),
                entry("nagios.plugin", name="it", command=[str(plugin), "7"]),
                entry("command", name="other", command=["/bin/echo", "7"]),
            ]
        }
        async with collecting(desk, source=SOURCE, agent=keys) as (collector, collector_keys):
            settings = write_settings(tmp_path, collector.control_port, collector_keys.public)
            settings.write_text(f'commands = ["{plugin}"]\n{settings.read_text()}')
            async with agent_process(settings) as agent:
                labels = ("http.get", "tls.certificate", "nagios.plugin", "command")
                wanted = {f"agent.probe_status[{label}]" for label in labels} | {
                    "http.ok[shop]", "http.state[shop]", "tls.days_left[shop]", "tls.state[shop]", "nagios.status[it]",
                    "nagios.text[it]", "nagios.value[it:it]",
                }  # fmt: skip
                await until(lambda: wanted <= desk.items().keys(), what="all four")
                assert await agent.end() == 0
    statuses = {label: desk.texts(f"agent.probe_status[{label}]") for label in labels}
    assert statuses["command"] == [
        "/bin/echo may not be started: it is not among `commands` in the agent.toml of this machine"
    ]
    assert [statuses[label] for label in labels[:3]] == [["ok"]] * 3
    assert desk.texts("http.state[shop]") == desk.texts("tls.state[shop]") == ["ok"]
    assert desk.texts("nagios.text[it]") == ["WARN"]
