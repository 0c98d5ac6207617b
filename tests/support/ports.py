"""Ports for servers under test."""

from __future__ import annotations

import os

from services.local_server import free_ports

_GIVEN: set[int] = set()
"""Those that this process was given: a server may not listen on its port yet, or not any more."""

_FIRST, _EACH = 8_000, 2_000
"""Below those that systems give to connections: a server that is down finds its port free again."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and no other process of the test run takes."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST + worker % 6 * _EACH
    while True:
        port = free_ports(1, range(first, first + _EACH))[0]
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port
