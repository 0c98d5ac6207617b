"""The WebSocket transport keeps what every transport promises, on our ports and in ASGI servers."""

from typing import ClassVar

import pytest
from transport_peers import WebSocketPeer
from websockets.asyncio.client import connect as open_websocket

from nexxus.adapters.websockets.transport import WebSocketTransport
from nexxus.interfaces.transport import Transport
from nexxus.testing.transport_host import KitHost
from nexxus.testing.transport_kit import Peer, TransportConformance
from nexxus.testing.transport_port import Server


class TestWebSocketTransport(TransportConformance):
    """On a connection of our own server."""

    @pytest.fixture
    def transport(self) -> WebSocketTransport:
        return WebSocketTransport()

    async def connect(self, transport: Transport, host: KitHost) -> Peer:
        socket = await open_websocket(
            f"ws://127.0.0.1:{host.port}/ws",
            compression=None,
            max_size=None,
            ping_interval=None,
            proxy=None,
        )
        return WebSocketPeer(socket)


class TestWebSocketTransportOverAsgi(TestWebSocketTransport):
    """In a server that speaks the WebSocket protocol itself."""

    server: ClassVar[Server] = "asgi"
