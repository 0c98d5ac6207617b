"""Contract §6: slow clients and silent clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from client import Admin, NexxusClient
from documents import open_application
from raw_websocket import frame, open_raw, read_frame, text_frame
from server import Server
from waiting import eventually

contract = partial(pytest.mark.contract, "6. WebSocket")

PING, PONG = 9, 10


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server with these settings."""
    servers: list[Server] = []

    def make(*settings: str) -> Server:
        options = (option for setting in settings for option in ("--set", setting))
        servers.append(Server(tmp_path / f"server{len(servers)}", *options))
        return servers[-1].start()

    yield make
    for server in servers:
        server.close()


@contract("close codes")
async def test_only_a_slow_consumer_is_closed_with_4008_and_it_can_resume(
    start: Callable[..., Server],
) -> None:
    server = start("gateway.send_buffer=65536", "gateway.resume_bytes=100000000")
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    admin.close()
    async with (
        NexxusClient(server.endpoint, app["id"]) as slow,
        NexxusClient(server.endpoint, app["id"]) as other,
    ):
        views = []
        for client in (slow, other):
            await (await client.register_device()).connect()
            views.append(await client.subscribe("note", limit=5000))
        first = await other.create("note", text="x")
        await slow.wait_for(lambda f: f["event"] == "model_created")

        network = slow.socket.socket.transport
        network.pause_reading()
        written = 0

        async def is_dropped() -> bool:
            nonlocal written
            written += 1
            await other.create("note", text="x" * 200_000)
            metrics = (await other.http.get(f"{server.endpoint.url}/metrics")).text
            return 'nexxus_gateway_slow_consumers_total{transport="websockets"} 1.0' in metrics

        await eventually(is_dropped, patience=60)
        network.resume_reading()

        assert await slow.socket.wait_closed() == 4008
        await other.converged(views[1])
        await slow.connect(resume=True)
        await slow.converged(views[0])
        assert slow.resyncs == 0
        assert len(views[0].items) == written + 1
        assert first["id"] in views[0].items


@contract("silent peers")
async def test_a_silent_client_is_pinged_and_dropped_but_not_one_that_responds(
    start: Callable[..., Server],
) -> None:
    server = start("gateway.ping_interval=0.2", "gateway.ping_timeout=1", "gateway.resume_window=0")
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    admin.close()
    async with (
        NexxusClient(server.endpoint, app["id"]) as answering,
        NexxusClient(server.endpoint, app["id"]) as silent,
    ):
        for client in (answering, silent):
            await client.register_device()
        await answering.connect()
        reader, writer = await open_raw(server.endpoint.ws_url)
        register = {"event": "register", "data": {"token": silent.token}}
        writer.write(text_frame(json.dumps(register)))

        async with asyncio.timeout(20):
            opcodes = [(await read_frame(reader))[0] for _ in range(3)]
            assert PING in opcodes
            while not reader.at_eof():
                await reader.read(1000)

        async def is_offline() -> bool:
            return bool((await silent.ok("GET", "/device"))["status"] == "offline")

        await eventually(is_offline)
        assert (await answering.ok("GET", "/device"))["status"] == "online"
        view = await answering.subscribe("note")
        await answering.create("note", text="x")
        await answering.converged(view)
        writer.close()


@contract("silent peers")
async def test_any_frame_counts_as_a_sign_of_life(start: Callable[..., Server]) -> None:
    server = start("gateway.ping_interval=0.1", "gateway.ping_timeout=0.6")
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    admin.close()
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await client.register_device()
        reader, writer = await open_raw(server.endpoint.ws_url)
        register = {"event": "register", "data": {"token": client.token}}
        writer.write(text_frame(json.dumps(register)))
        pings = 0
        async with asyncio.timeout(20):
            while pings < 12:  # twice the time that it may be silent
                opcode, payload = await read_frame(reader)
                if opcode == PING:
                    pings += 1
                    writer.write(frame(PONG, payload) if pings % 2 else text_frame("not a frame"))
        assert (await client.ok("GET", "/device"))["status"] == "online"
        writer.close()
