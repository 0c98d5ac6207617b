"""Accepted writes per second over HTTP, against a bare endpoint.

    python benchmarks/writes.py [--connections 32] [--seconds 2] [--rounds 4]

A create is sent on each of several kept-alive connections, the next as soon as the former is
answered. Nexxus answers 202 when the write is durable (with the embedded adapters: committed to
SQLite); the reference only parses the same body. Rounds of both alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import uvloop
from load_clients import HttpConnection, http_request
from server_process import MODEL, ServerProcess, bare_server, nexxus_server

MIN_RATIO = 0.4
BODY = {"title": "A task of usual length", "status": "open", "points": 3}
REQUEST = http_request("POST", f"/model/{MODEL}", BODY)


async def measure(
    server: ServerProcess, connections: list[HttpConnection], seconds: float
) -> tuple[float, float]:
    """Writes per second, and microseconds of the server's CPU per write."""
    started, cpu = time.perf_counter(), server.cpu_seconds()
    written = await write_for(connections, seconds)
    elapsed = time.perf_counter() - started
    return written / elapsed, (server.cpu_seconds() - cpu) / written * 1e6


async def write_for(connections: list[HttpConnection], seconds: float) -> int:
    """Create objects on every connection, one after the other; how many were accepted."""
    deadline = time.perf_counter() + seconds
    written = 0

    async def write(connection: HttpConnection) -> None:
        nonlocal written
        while time.perf_counter() < deadline:
            status, body = await connection.ask(REQUEST)
            if status != 202:
                raise RuntimeError(f"a write was not accepted: {status} {body.decode()}")
            written += 1

    async with asyncio.TaskGroup() as tasks:
        for connection in connections:
            tasks.create_task(write(connection))
    return written


async def run(
    servers: tuple[ServerProcess, ServerProcess], arguments: argparse.Namespace
) -> list[list[tuple[float, float]]]:
    """The figures of each server's rounds; the first, a warm-up, is left out."""
    connections = [
        [await HttpConnection.open(server.port) for _ in range(arguments.connections)]
        for server in servers
    ]
    figures: list[list[tuple[float, float]]] = [[], []]
    for _ in range(arguments.rounds + 1):
        for server, opened, rounds in zip(servers, connections, figures, strict=True):
            rounds.append(await measure(server, opened, arguments.seconds))
    return [rounds[1:] for rounds in figures]


def main() -> None:
    """Measure, print, and exit with 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0, help="each round")
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    with bare_server("http") as bare, nexxus_server() as nexxus:
        of_bare, of_nexxus = uvloop.run(run((bare, nexxus), arguments))
    ratio = statistics.median(
        ours[0] / theirs[0] for ours, theirs in zip(of_nexxus, of_bare, strict=True)
    )
    speed, cpu = (statistics.median(column) for column in zip(*of_nexxus, strict=True))
    bare_speed, bare_cpu = (statistics.median(column) for column in zip(*of_bare, strict=True))
    print(
        f"writes  nexxus {speed:,.0f} /s, {cpu:.0f} µs of CPU each"
        f"   bare endpoint {bare_speed:,.0f} /s, {bare_cpu:.0f} µs of CPU each"
        f"   ratio {ratio:.2f} (at least {MIN_RATIO})"
    )
    raise SystemExit(0 if ratio >= MIN_RATIO else 1)


if __name__ == "__main__":
    main()
