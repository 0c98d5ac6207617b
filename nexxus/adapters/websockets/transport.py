"""The WebSocket transport: what the ports hand over, and what an ASGI server brings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from nexxus.interfaces.transport import AsgiApp, Transport, TransportHost

PATH: Final = "/ws"
"""Where the WebSocket is on the API's port."""


class WebSocketTransport(Transport):
    """Has no port of its own: the API's and the gateway's ports hand their upgrades to it."""

    def __init__(self) -> None:
        self._host: TransportHost | None = None

    async def start(self, host: TransportHost) -> None:
        """See `Transport.start`."""
        self._host = host

    async def stop(self) -> None:
        """See `Transport.stop`."""
        self._host = None

    @property
    def websocket_routes(self) -> Mapping[str, AsgiApp]:
        """See `Transport.websocket_routes`."""
        from nexxus.adapters.websockets.asgi import WebSocketApp

        assert self._host is not None, "start first"
        return {PATH: WebSocketApp(self._host, PATH)}

    def upgrade(self, path: str) -> type[asyncio.Protocol]:
        """See `Transport.upgrade`."""
        from nexxus.adapters.websockets.raw import websocket_protocol

        assert self._host is not None, "start first"
        return websocket_protocol(self._host, path)
