"""Transports: the ways in which devices are connected to this node, each with its gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from nexxus.errors import ConfigurationError
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
        """Close what the transports have opened; may be called twice.

        All are stopped, whatever one of them raises; that is raised afterwards.
        """
        async with AsyncExitStack() as stack:
            for transport in self._transports.values():
                stack.push_async_callback(transport.stop)

    @property
    def http_routes(self) -> dict[str, AsgiApp]:
        """What the transports serve over HTTP on the API's port, by path.

        Raises `ConfigurationError` where two of them serve one path.
        """
        return _together({name: each.http_routes for name, each in self._transports.items()})

    @property
    def websocket_routes(self) -> dict[str, AsgiApp]:
        """What they serve there over an ASGI server's WebSockets, by path; raises likewise."""
        return _together({name: each.websocket_routes for name, each in self._transports.items()})

    def upgrade(self, path: str) -> type[asyncio.Protocol] | None:
        """What takes over the upgrades of a port where `path` is the WebSocket's place."""
        for transport in self._transports.values():
            protocol = transport.upgrade(path)
            if protocol is not None:
                return protocol
        return None


def _together(routes: Mapping[str, Mapping[str, AsgiApp]]) -> dict[str, AsgiApp]:
    served: dict[str, AsgiApp] = {}
    owners: dict[str, str] = {}
    for name, apps in routes.items():
        for path, app in apps.items():
            owner = owners.setdefault(path, name)
            if owner != name:
                raise ConfigurationError(
                    f"gateway.transports: {owner!r} and {name!r} both serve {path} on the API's "
                    "port; leave one of them out, or give one another path"
                )
            served[path] = app
    return served
