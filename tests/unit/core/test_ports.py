"""Ports that are chosen before anybody listens there."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from core.runtime import ports
from core.runtime.ports import bound_socket, free_port, port_of


def test_a_free_port_is_below_those_of_connections_and_can_be_listened_at() -> None:
    port = free_port()
    assert port < 32_768
    socket.create_server((ports.LOOPBACK, port)).close()


def test_ports_held_at_once_are_distinct_and_none_that_is_avoided() -> None:
    with ExitStack() as opened:
        held = [port_of(opened.enter_context(bound_socket(avoided=range(20_000, 31_900)))) for _ in range(5)]
        assert len(set(held)) == 5
        assert all(port >= 31_900 for port in held)


def test_where_none_of_ours_is_free_the_system_chooses() -> None:
    with bound_socket(avoided=range(20_000, 32_000)) as found:
        assert port_of(found) > 0
