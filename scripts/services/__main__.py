"""``python -m services start|stop|status``: the distributed setup's servers on this machine.

Their files are kept in the project's ``.services`` between starts.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from services.local_server import LocalServer, ServerFailed
from services.standard_set import StandardSet

_USAGE = "usage: python -m services start|stop|status"


def main(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
    match arguments:
        case ["start"]:
            return _start(StandardSet())
        case ["stop"]:
            return _stop(StandardSet())
        case ["status"]:
            return _status(StandardSet())
        case _:
            print(_USAGE, file=sys.stderr)
            return 2


def _start(servers: StandardSet) -> int:
    def start(server: LocalServer) -> str | None:
        try:
            server.start()
        except ServerFailed as error:
            return f"{server.name}: {error}"
        return None

    for server in servers:  # one at a time, because package managers block each other
        try:
            server.install()
        except ServerFailed as error:
            print(f"{server.name}: {error}", file=sys.stderr)
            return 1
    with ThreadPoolExecutor() as threads:
        failures = [failure for failure in threads.map(start, servers) if failure]
    for failure in failures:
        print(failure, file=sys.stderr)
    if failures:
        return 1
    return _status(servers)


def _stop(servers: StandardSet) -> int:
    with ThreadPoolExecutor() as threads:
        list(threads.map(LocalServer.stop, servers))
    return 0


def _status(servers: StandardSet) -> int:
    for server in servers:
        pid = server.pid
        state = "not running" if pid is None else f"running, process {pid}"
        print(f"{server.name:20} {server.url:45} {state}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
