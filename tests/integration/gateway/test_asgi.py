"""The gateway inside of somebody else's server: the same frames over ASGI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from gateway_world import PATIENCE, World, event
from waiting import eventually

from nexxus.adapters.websockets.transport import WebSocketTransport


class AsgiClient:
    """What a server does with an application, for one connection."""

    def __init__(self, world: World, path: str = "/ws", **scope: Any) -> None:
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._collector: asyncio.Queue[Any] = asyncio.Queue()
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._is_lost = False
        self.is_sending = False
        """A message of the application is on its way, and cannot go on where nobody reads."""
        self._inbox.put_nowait({"type": "websocket.connect"})
        transport = WebSocketTransport()
        transport._host = world.gateway
        app = world.app(transport)
        everything = {"type": "websocket", "path": path, "subprotocols": [], **scope}
        self.task = asyncio.create_task(app(everything, self._inbox.get, self._send))

    async def _send(self, message: Any) -> None:
        self.is_sending = True
        await self._may_send.wait()
        self.is_sending = False
        if self._is_lost:
            raise ConnectionResetError("nobody is there")
        self._collector.put_nowait(message)

    def stop_reading(self) -> None:
        self._may_send.clear()

    def read_on(self) -> None:
        self._may_send.set()

    def get_lost(self) -> None:
        """Have the server find out by sending; it says so by an OSError, as ASGI wants it."""
        self._is_lost = True
        self.read_on()

    async def ended(self) -> None:
        """The application has returned, of itself and without an error."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait((self.task,))
        self.task.result()

    async def next(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self._collector.get()

    async def frame(self) -> Any:
        message = await self.next()
        assert message["type"] == "websocket.send", message
        if "text" in message:
            return json.loads(message["text"])
        return msgspec.msgpack.decode(message["bytes"])

    def send(self, event: str, data: Any, **more: Any) -> None:
        text = json.dumps({"event": event, "data": data, **more})
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})

    def send_packed(self, event: str, data: Any) -> None:
        packed = msgspec.msgpack.encode({"event": event, "data": data})
        self._inbox.put_nowait({"type": "websocket.receive", "bytes": packed})

    def leave(self) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1005})


async def registered(world: World, device: str) -> AsgiClient:
    client = AsgiClient(world)
    assert (await client.next())["type"] == "websocket.accept"
    client.send("register", {"token": device})
    assert (await client.frame())["event"] == "register"
    return client


@pytest.mark.parametrize("path", ["/", "/ws2", "/x/ws"])
async def test_another_path_is_refused(world: World, path: str) -> None:
    client = AsgiClient(world, path)

    assert (await client.next())["type"] == "websocket.close"
    await client.task


@pytest.mark.parametrize(("path", "root_path"), [("/ws", ""), ("/ws/", ""), ("/sub/ws", "/sub")])
async def test_it_serves_its_path_wherever_it_is_mounted(
    world: World, path: str, root_path: str
) -> None:
    client = AsgiClient(world, path, root_path=root_path)

    assert await client.next() == {"type": "websocket.accept", "subprotocol": None}
    client.leave()
    await client.task


async def test_messagepack_leaves_as_bytes(world: World) -> None:
    client = AsgiClient(world, subprotocols=["nexxus.v1.msgpack"])
    assert (await client.next())["subprotocol"] == "nexxus.v1.msgpack"

    client.send_packed("register", {"token": "d1"})

    assert (await client.frame())["data"]["success"] is True
    client.send("register", {"token": "d1"})
    assert (await client.frame())["data"]["code"] == "INVALID_PARAMETERS"
    client.leave()
    await client.task


async def test_who_takes_nothing_is_dropped_though_the_server_waits_for_it(
    new_world: Callable[..., Any],
) -> None:
    world = await new_world(close_timeout=0.1)
    client = await registered(world, "d1")
    await world.subscribe("d1", "c1")
    client.stop_reading()
    world.gateway.deliver(event(1, updated=["c1"]))
    await eventually(lambda: client.is_sending)

    await world.gateway.drain()

    await client.ended()


@pytest.mark.parametrize("is_blocked", [False, True])
async def test_a_peer_that_is_found_lost_by_sending_is_no_error(
    world: World, is_blocked: bool
) -> None:
    client = await registered(world, "d1")
    await world.subscribe("d1", "c1")
    if is_blocked:
        client.stop_reading()
        world.gateway.deliver(event(1, updated=["c1"]))
        await eventually(lambda: client.is_sending)
    client.get_lost()
    world.gateway.deliver(event(2, updated=["c1"]))

    await client.ended()
    assert world.gateway.figures.connections == 0


async def test_a_message_over_the_limit_closes_the_connection(world: World) -> None:
    client = await registered(world, "d1")

    client.send("create", {"x": "y" * (1 << 20)}, ref="1")

    assert (await client.next())["code"] == 1009
    await client.task
