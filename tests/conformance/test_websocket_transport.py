"""The WebSocket transport keeps what every transport promises, on our ports and in ASGI servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
import uvicorn
from transport_peers import WebSocketPeer
from waiting import eventually
from websockets.asyncio.client import connect as open_websocket

from nexxus.adapters.websockets.transport import WebSocketTransport
from nexxus.interfaces.transport import Transport
from nexxus.testing.transport_kit import Peer, TransportConformance


class TestWebSocketTransport(TransportConformance):
    """On a port whose upgrades are handed to it."""

    @pytest.fixture
    async def transport(self) -> AsyncIterator[WebSocketTransport]:
        async with AsyncExitStack() as self.stack:
            self.port = 0
            yield WebSocketTransport()

    async def connect(self, transport: Transport) -> Peer:
        if not self.port:
            self.port = await self.stack.enter_async_context(serving(**self.server_of(transport)))
        socket = await open_websocket(
            f"ws://127.0.0.1:{self.port}/ws",
            compression=None,
            max_size=None,
            ping_interval=None,
            proxy=None,
        )
        return WebSocketPeer(socket)

    def server_of(self, transport: Transport) -> dict[str, Any]:
        """The settings of a uvicorn with the transport in it."""
        return {"app": refuse_http, "http": "httptools", "ws": transport.upgrade("/ws")}


class TestWebSocketTransportOverAsgi(TestWebSocketTransport):
    """In a server that speaks the WebSocket protocol itself."""

    def server_of(self, transport: Transport) -> dict[str, Any]:
        app = transport.websocket_routes["/ws"]
        return {"app": app, "ws": "websockets-sansio", "ws_per_message_deflate": False}


async def refuse_http(scope: Any, receive: Any, send: Any) -> None:
    """The application of a port without any."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Server(uvicorn.Server):
    """A server that leaves signals to the test run."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class serving:  # noqa: N801 - reads as a verb where it is used
    """A uvicorn with these settings; its port."""

    def __init__(self, **options: Any) -> None:
        config = uvicorn.Config(port=0, loop="none", lifespan="off", log_config=None, **options)
        self._server = Server(config)

    async def __aenter__(self) -> int:
        self._task = asyncio.create_task(self._server.serve())
        await eventually(lambda: self._server.started)
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        await self._task
