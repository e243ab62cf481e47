"""The probes there are, by name. A probe is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from probes.declaration import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.declaration import Item

_PLACES: Final = {
    "agent": ("probes.agent", "read_agent"),
    "backup": ("probes.backup", "read_backups"),
    "command": ("probes.command", "run_command"),
    "cpu": ("probes.cpu", "read_cpu"),
    "disks": ("probes.disks", "read_disks"),
    "dns.lookup": ("probes.dns_lookup", "look_up"),
    "drill": ("probes.drill", "read_drills"),
    "filesystems": ("probes.filesystems", "read_filesystems"),
    "http.get": ("probes.http_get", "get"),
    "icmp.ping": ("probes.icmp_ping", "ping"),
    "inventory": ("probes.inventory", "read_inventory"),
    "log.file": ("probes.log_file", "read_log"),
    "memory": ("probes.memory", "read_memory"),
    "nagios.plugin": ("probes.nagios_plugin", "run_plugin"),
    "network": ("probes.network", "read_network"),
    "process": ("probes.process", "read_processes"),
    "processes": ("probes.processes", "read_processes"),
    "pruning": ("probes.pruning", "read_pruning"),
    "snmp.get": ("probes.snmp.get", "read_objects"),
    "snmp.interfaces": ("probes.snmp.interfaces", "read_interfaces"),
    "snmp.walk": ("probes.snmp.walk", "read_table"),
    "ssh.command": ("probes.ssh.command", "run_command"),
    "swap": ("probes.swap", "read_swap"),
    "systemd.units": ("probes.systemd_units", "read_units"),
    "tcp.connect": ("probes.tcp_connect", "connect_once"),
    "tls.certificate": ("probes.tls_certificate", "read_shown_certificate"),
    "uptime": ("probes.uptime", "read_uptime"),
    "users": ("probes.users", "read_users"),
    "verification": ("probes.verification", "read_verifications"),
}


def probe_names() -> tuple[str, ...]:
    """Return the names of all probes, in alphabetical order."""
    return tuple(sorted(_PLACES))


def find_probe(name: str) -> Probe | None:
    """Return the probe `name`, None when there is none."""
    place = _PLACES.get(name)
    if place is None:
        return None
    found = getattr(import_module(place[0]), place[1])
    assert isinstance(found, Probe)  # noqa: S101 - the list above is ours
    return found


def all_items() -> Iterator[tuple[Probe, Item]]:
    """Yield every item of every probe: the data dictionary of what agents measure."""
    for name in probe_names():
        found = find_probe(name)
        if found is not None:
            for item in found.items:
                yield found, item
