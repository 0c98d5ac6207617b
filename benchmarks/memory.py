"""Resident memory per idle connection.

    python benchmarks/memory.py [--connections 2000]

The devices are registered, and some connections opened, before the first reading, so that what
is measured is the connections and not the first use of the code. The reference is as many
sockets that a bare uvloop server has accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import uvloop
from load_clients import open_devices, register_devices
from server_process import ServerProcess, allow_many_files, bare_server, nexxus_server

MAX_BYTES = 20 * 1024
WARM_UP = 100
SETTLED = 0.5
"""Seconds without a change of more than a page per hundred connections."""


async def settled_bytes(server: ServerProcess) -> int:
    """The resident memory once it no longer moves."""
    held, since = server.resident_bytes(), time.monotonic()
    while time.monotonic() - since < SETTLED:
        await asyncio.sleep(0.05)
        now = server.resident_bytes()
        if abs(now - held) > 64 * 1024:
            held, since = now, time.monotonic()
    return server.resident_bytes()


async def measure_nexxus(server: ServerProcess, connections: int) -> float:
    """Bytes per connection that has registered."""
    tokens = await register_devices(server.port, WARM_UP + connections)
    kept = await open_devices(server.port, tokens[:WARM_UP])
    before = await settled_bytes(server)
    kept += await open_devices(server.port, tokens[WARM_UP:])
    after = await settled_bytes(server)
    return (after - before) / connections


async def measure_bare(server: ServerProcess, connections: int) -> float:
    """Bytes per accepted socket."""
    loop = asyncio.get_running_loop()

    async def connect(count: int) -> list[asyncio.Transport]:
        return [
            (await loop.create_connection(asyncio.Protocol, "127.0.0.1", server.port))[0]
            for _ in range(count)
        ]

    kept = await connect(WARM_UP)
    before = await settled_bytes(server)
    kept += await connect(connections)
    after = await settled_bytes(server)
    return (after - before) / connections


def main() -> None:
    """Measure, print, and exit with 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=2000)
    connections = parser.parse_args().connections
    allow_many_files()
    with bare_server("echo") as server:
        bare = uvloop.run(measure_bare(server, connections))
    with nexxus_server() as server:
        ours = uvloop.run(measure_nexxus(server, connections))
    print(
        f"memory  {ours / 1024:.1f} KB per idle connection of {connections}"
        f" (at most {MAX_BYTES // 1024})   bare socket {bare / 1024:.1f} KB"
        f"   ratio {ours / bare:.1f}"
    )
    raise SystemExit(0 if ours <= MAX_BYTES else 1)


if __name__ == "__main__":
    main()
