"""Transports: the ways in which devices are connected to this node, each with its gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from nexxus.gateway import Gateway
from nexxus.interfaces.transport import AsgiApp, Transport


class Transports:
    """The node's transports by name, and the gateways that are their hosts."""

    def __init__(
        self, transports: Mapping[str, Transport], gateways: Mapping[str, Gateway]
    ) -> None:
        self._transports = transports
        self.gateways = gateways

    async def start(self) -> None:
        """Let every transport accept connections; raises the `StartupError` of one that cannot."""
        for name, transport in self._transports.items():
            await transport.start(self.gateways[name])

    async def drain(self) -> None:
        """Accept nothing more, finish what was received, close every connection."""
        await asyncio.gather(*(gateway.drain() for gateway in self.gateways.values()))

    async def stop(self) -> None:
        """Close what the transports have opened; may be called twice."""
        for transport in self._transports.values():
            await transport.stop()

    @property
    def http_routes(self) -> dict[str, AsgiApp]:
        """What the transports serve over HTTP on the API's port, by path."""
        every = self._transports.values()
        return {path: app for transport in every for path, app in transport.http_routes.items()}

    @property
    def websocket_routes(self) -> dict[str, AsgiApp]:
        """What they serve there over an ASGI server's WebSockets, by path."""
        every = self._transports.values()
        return {
            path: app for transport in every for path, app in transport.websocket_routes.items()
        }

    def upgrade(self, path: str) -> type[asyncio.Protocol] | None:
        """What takes over the upgrades of a port where `path` is the WebSocket's place."""
        for transport in self._transports.values():
            protocol = transport.upgrade(path)
            if protocol is not None:
                return protocol
        return None
