"""A server behind nginx as it comes: with buffering, and with either version of HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Admin, NexxusClient
from documents import open_application
from event_source import EventSource
from ports import free_port
from running import running
from server import Server
from services.nginx import NginxServer
from waiting import eventually
from websockets.asyncio.client import connect as open_web_socket


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def proxy(server: Server, tmp_path: Path) -> Iterator[Callable[..., NginxServer]]:
    """Starts an nginx before the server."""
    started: list[Any] = []

    def start(**options: Any) -> NginxServer:
        running_one = running(
            NginxServer(tmp_path / "nginx", free_port(), upstream=server.port, **options)
        )
        started.append(running_one)
        return running_one.__enter__()

    yield start
    for each in started:
        each.__exit__(None, None, None)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_events_come_at_once_and_the_end_arrives(
    server: Server, proxy: Callable[..., NginxServer], version: str
) -> None:
    nginx = proxy(prefix="/live", http_version=version)
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    admin.close()
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await client.register_device()
        ticket = (await client.ok("POST", "/auth/ticket"))["ticket"]
        query = {"ticket": ticket, "subscribe": json.dumps({"model": "note"})}

        source = await EventSource.open(nginx.port, query, path="/live/sse")
        assert source.headers["x-request-id"]
        await source.until("subscribed")
        for number in range(3):
            await client.create("note", text=f"a short one, {number}")
            event = await source.until("model_created")
            assert event.data["model"]["text"].endswith(str(number))

        await client.ok("POST", "/auth/logout", {"refreshToken": client.refresh_token})
        assert (await source.until("close")).data["code"] == 4001
        await source.ended()
    access = (nginx.directory / "access.log").read_text()
    assert "/live/sse" in access
    assert ticket not in access


async def test_a_client_that_leaves_the_proxy_leaves_the_server(
    server: Server, proxy: Callable[..., NginxServer]
) -> None:
    nginx = proxy()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    admin.close()
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await client.register_device()
        ticket = (await client.ok("POST", "/auth/ticket"))["ticket"]
        source = await EventSource.open(nginx.port, {"ticket": ticket})
        await source.next()

        source.vanish()

        async def is_offline() -> bool:
            device = await client.ok("GET", "/device")
            return bool(device["status"] == "offline")

        await eventually(is_offline)


async def test_web_sockets_go_through(server: Server, proxy: Callable[..., NginxServer]) -> None:
    nginx = proxy(prefix="/live")

    async with open_web_socket(f"ws://127.0.0.1:{nginx.port}/live/ws", proxy=None) as socket:
        await socket.send('{"event": "register", "data": {"token": "x"}}')
        assert json.loads(await socket.recv())["event"] == "error"
