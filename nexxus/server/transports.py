"""Transports: the ways in which devices are connected to this node, each with its gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from nexxus.api.mounts.table import Mounted
from nexxus.gateway import Gateway
from nexxus.interfaces.transport import Transport


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
    def mounted(self) -> list[Mounted]:
        """What the transports serve on the node's HTTP ports, each with its host."""
        return [
            Mounted(mount, self.gateways[name])
            for name, transport in self._transports.items()
            for mount in transport.mounts
        ]
