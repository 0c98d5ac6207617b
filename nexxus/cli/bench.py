"""``nexxus bench``: measures a running server."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import click
import msgspec

from nexxus.cli.options import json_option, server_options
from nexxus.cli.output import print_json
from nexxus.cli.root import CommandFailed
from nexxus.cli.server_client import ServerClient, connect

_PROBE_PAUSE: Final = 0.01
_ANSWER_TIMEOUT: Final = 15.0


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="Duration of each of the two parts.",
)
@click.option(
    "--writers",
    type=click.IntRange(1, 1000),
    default=32,
    show_default=True,
    help="Number of concurrent writes.",
)
@click.option(
    "--devices",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Number of devices that each write is pushed to.",
)
@json_option
@server_options
def bench(
    seconds: float,
    writers: int,
    devices: int,
    as_json: bool,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """Measure accepted writes per second, and the latency from a write to its push.

    The command creates its own application and deletes it at the end. On the same machine it
    competes with the server for the CPU, so use the results only for comparisons.

    \b
    nexxus bench
    nexxus bench --url http://sync.example --seconds 10 --devices 500
    """
    app_id = f"bench-{secrets.token_hex(4)}"
    document = {
        "id": app_id,
        "name": "nexxus bench",
        "schema": {"sample": {"fields": {"text": {"type": "string"}}}},
    }
    with connect(url, admin_key, config_file) as server:
        server.admin("POST", "/applications", json=document)
        try:
            result = asyncio.run(_measure(server, app_id, seconds, writers, devices))
        finally:
            server.admin("DELETE", f"/applications/{app_id}")
    if as_json:
        print_json(result)
        return
    latency = result["writeToPushMs"]
    click.echo(f"accepted writes     {result['writesPerSecond']:>10,.0f} /s, {writers} at a time")
    click.echo(
        f"write to push       {latency['p50']:>10.1f} ms median, {latency['p95']:.1f} ms 95 %, "
        f"{latency['p99']:.1f} ms 99 %, to {devices} devices"
    )


async def _measure(
    server: ServerClient, app_id: str, seconds: float, writers: int, devices: int
) -> dict[str, Any]:
    """Measure latency while the server is otherwise idle, then throughput."""
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(_device(server, app_id))
        readers = [await stack.enter_async_context(_device(server, app_id)) for _ in range(devices)]
        for reader in readers:
            await reader.call("subscribe", {"model": "sample"})
        latencies = await _latencies(writer, readers, seconds)
        for reader in readers:
            await reader.call("unsubscribe", {"model": "sample"})
        written, elapsed = await _writes(writer, seconds, writers)
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return {
        "writesPerSecond": round(written / elapsed, 1),
        "writeToPushMs": {
            name: round(cuts[percent - 1] * 1000, 2)
            for name, percent in (("p50", 50), ("p95", 95), ("p99", 99))
        },
        "writers": writers,
        "devices": devices,
        "seconds": seconds,
    }


async def _latencies(writer: _Device, readers: Sequence[_Device], seconds: float) -> list[float]:
    """Return the seconds from each write to its arrival at each device, one write at a time."""
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(latencies) < 2:
        started = time.perf_counter()
        pushed = [reader.next_event() for reader in readers]
        data = await writer.call("create", {"type": "sample", "text": "a push to be timed"})
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            for arrived in asyncio.as_completed(pushed):
                object_id, at = await arrived
                if object_id == data["id"]:
                    latencies.append(at - started)
        await asyncio.sleep(_PROBE_PAUSE)
    return latencies


async def _writes(writer: _Device, seconds: float, concurrency: int) -> tuple[int, float]:
    """Return the number of accepted writes and the elapsed seconds."""
    started = time.perf_counter()
    deadline = started + seconds
    written = 0

    async def write() -> None:
        nonlocal written
        while time.perf_counter() < deadline:
            await writer.call("create", {"type": "sample", "text": "a write to be counted"})
            written += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(write())
    return written, time.perf_counter() - started


class _Device:
    """A connected device; `listen` must run meanwhile."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._calls: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._event: asyncio.Future[tuple[str, float]] | None = None
        self._refs = 0

    async def call(self, event: str, data: dict[str, Any]) -> dict[str, Any]:
        """Send an action and return the ``data`` of its reply."""
        self._refs += 1
        ref = str(self._refs)
        answer = self._calls[ref] = asyncio.get_running_loop().create_future()
        frame = {"event": event, "ref": ref, "data": data}
        await self._send(msgspec.json.encode(frame).decode())
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            reply = await answer
        if "error" in reply:
            error = reply["error"]
            raise CommandFailed(f"{error['error']} ({reply['status']}): {error['message']}")
        result: dict[str, Any] = reply.get("data") or {}
        return result

    def next_event(self) -> asyncio.Future[tuple[str, float]]:
        """Return a future of the next pushed creation: the object's id and the arrival time."""
        self._event = asyncio.get_running_loop().create_future()
        return self._event

    async def listen(self, frames: AsyncIterator[str | bytes]) -> None:
        """Dispatch incoming frames until the connection ends."""
        async for text in frames:
            frame = msgspec.json.decode(text, type=dict[str, Any])
            if frame["event"] == "reply":
                waiting = self._calls.pop(frame["ref"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame["data"])
            elif frame["event"] == "model_created" and self._event and not self._event.done():
                self._event.set_result((frame["data"]["model"]["id"], time.perf_counter()))


@asynccontextmanager
async def _device(server: ServerClient, app_id: str) -> AsyncIterator[_Device]:
    """Register a new device and connect it while the block runs."""
    from websockets.asyncio.client import connect as open_websocket

    session = server.ask(
        "POST", "/device/register", json={"name": "bench"}, headers={"nxx-app-id": app_id}
    )
    address = "ws" + server.url.removeprefix("http") + "/ws"
    async with open_websocket(address, max_size=None) as websocket:
        register = {"event": "register", "data": {"token": session["token"]}}
        await websocket.send(msgspec.json.encode(register).decode())
        await asyncio.wait_for(websocket.recv(), _ANSWER_TIMEOUT)
        device = _Device(websocket.send)
        listening = asyncio.create_task(device.listen(aiter(websocket)))
        try:
            yield device
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
