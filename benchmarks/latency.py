"""From a write to its push: the latency at a steady rate with many subscribers.

    python benchmarks/latency.py [--rate 200] [--subscribers 100] [--seconds 5]

One WebSocket sends creates at a fixed pace, whether or not the former were answered; every
subscriber gets each of them. A create carries the moment at which it was sent; each arrival at
each subscriber is one sample. The reference is the round trip of as many bytes through a bare
uvloop echo server, at the same pace, before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from typing import cast

import uvloop
from load_clients import Device, open_devices, register_devices
from server_process import MODEL, ServerProcess, allow_many_files, bare_server, nexxus_server

MAX_MILLISECONDS = 5.0
MARK = b'"title":"sent '
ECHO_BYTES = 300
WARM_UP = 1.0
LAST_ARRIVALS = 10.0


async def pace(rate: float, seconds: float, send: Callable[[], None]) -> int:
    """Send at a fixed rate; how often it was."""
    loop = asyncio.get_running_loop()
    started, count = loop.time(), int(rate * seconds)
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / rate - loop.time()))
        send()
    return count


class EchoClient(asyncio.Protocol):
    """Times the round trips of messages of `ECHO_BYTES`, which begin with when they were sent."""

    def __init__(self, samples: list[float]) -> None:
        self._samples = samples
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send one message."""
        self._transport.write(str(time.perf_counter_ns()).encode().ljust(ECHO_BYTES))

    def data_received(self, data: bytes) -> None:
        arrived = time.perf_counter_ns()
        self._buffer += data
        while len(self._buffer) >= ECHO_BYTES:
            message, self._buffer = self._buffer[:ECHO_BYTES], self._buffer[ECHO_BYTES:]
            self._samples.append((arrived - int(message)) / 1e6)


async def measure_echo(server: ServerProcess, rate: float, seconds: float) -> list[float]:
    """Milliseconds of each round trip."""
    samples: list[float] = []
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: EchoClient(samples), "127.0.0.1", server.port)
    count = await pace(rate, seconds, client.send)
    await wait_for(samples, count)
    return samples


async def measure_pushes(
    port: int,
    rate: float,
    subscribers: int,
    seconds: float,
    *,
    gateways: tuple[int, int] | None = None,
) -> list[float]:
    """Milliseconds from each write to its arrival at each subscriber.

    `port` is the API's. With `gateways` the writer connects to the first of these ports and the
    subscribers to the second; else all connect to the API's.
    """
    writers_port, subscribers_port = gateways or (port, port)
    path = "/ws" if gateways is None else "/"
    samples: list[float] = []

    def on_push(payload: bytes) -> None:
        at = payload.index(MARK) + len(MARK)
        sent = int(payload[at : payload.index(b'"', at)])
        samples.append((time.perf_counter_ns() - sent) / 1e6)

    tokens = await register_devices(port, subscribers + 1)
    writer = await Device.open(writers_port, tokens[0], path=path)
    devices = await open_devices(subscribers_port, tokens[1:], on_push, path)
    for device in devices:
        await device.subscribe(MODEL)

    def write() -> None:
        data = {"type": MODEL, "title": f"sent {time.perf_counter_ns()}", "status": "open"}
        writer.send({"event": "create", "ref": "w", "data": data})

    warm_up = await pace(rate, WARM_UP, write)
    await wait_for(samples, warm_up * subscribers)
    samples.clear()
    count = await pace(rate, seconds, write)
    await wait_for(samples, count * subscribers)
    return samples


async def wait_for(samples: list[float], count: int) -> None:
    """Return when all have arrived."""
    async with asyncio.timeout(LAST_ARRIVALS):
        while len(samples) < count:
            await asyncio.sleep(0.01)


async def run(
    echo: ServerProcess, nexxus: ServerProcess, arguments: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """The samples of the reference and of Nexxus."""
    rate, seconds = arguments.rate, arguments.seconds
    round_trips = await measure_echo(echo, rate, seconds / 2)
    pushes = await measure_pushes(nexxus.port, rate, arguments.subscribers, seconds)
    round_trips += await measure_echo(echo, rate, seconds / 2)
    return round_trips, pushes


def main() -> None:
    """Measure, print, and exit with 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=200.0, help="writes per second")
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    allow_many_files()
    with bare_server("echo") as echo, nexxus_server() as nexxus:
        round_trips, pushes = uvloop.run(run(echo, nexxus, arguments))
    ours = statistics.quantiles(pushes, n=100, method="inclusive")
    bare = statistics.quantiles(round_trips, n=100, method="inclusive")
    print(
        f"latency  write to push p50 {ours[49]:.2f} ms (at most {MAX_MILLISECONDS:g}),"
        f" p99 {ours[98]:.2f} ms   echo round trip p50 {bare[49]:.2f} ms, p99 {bare[98]:.2f} ms"
        f"   ratio of the p50 {ours[49] / bare[49]:.1f}"
    )
    raise SystemExit(0 if ours[49] <= MAX_MILLISECONDS else 1)


if __name__ == "__main__":
    main()
