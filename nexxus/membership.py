"""Membership: this node says that it is alive, and sweeps those that no longer do."""

from __future__ import annotations

import asyncio

from nexxus.actions.applications import Applications
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Node, Registry

LIFETIME = 15.0
"""Seconds after its last sign of life that a node counts as dead."""

_EVERY = 3.0


class Membership:
    """Announces a node, sweeps dead ones, and notices what other nodes changed.

    A node is told of a changed application through its queue; looking every `_EVERY` seconds is
    for the message that was lost.
    """

    def __init__(
        self, node: Node, *, registry: Registry, applications: Applications, logger: Logger
    ) -> None:
        self._node = node
        self._registry = registry
        self._applications = applications
        self._logger = logger
        self._look = asyncio.Event()

    def look_now(self) -> None:
        """Take over what another node has changed, at once."""
        self._look.set()

    async def join(self) -> None:
        """Be known to the others, before anything is served."""
        await self._registry.announce(self._node, LIFETIME)

    async def run(self) -> None:
        """Stay known until cancelled."""
        while True:
            told = await self._wait()
            try:
                await self._registry.announce(self._node, LIFETIME)
                for dead in await self._registry.sweep():
                    self._logger.warning("a node has died and was swept", dead=dead)
                if told or len(await self._registry.nodes()) > 1:
                    await self._applications.refresh()
            except ServiceUnavailable as error:
                self._logger.warning("the registry cannot be reached", reason=error.message)

    async def _wait(self) -> bool:
        """Wait for the next round; whether somebody asked for it."""
        try:
            async with asyncio.timeout(_EVERY):
                await self._look.wait()
        except TimeoutError:
            return False
        self._look.clear()
        return True

    async def leave(self) -> None:
        """Be forgotten at once."""
        try:
            await self._registry.retire(self._node.id)
        except ServiceUnavailable as error:
            self._logger.warning("leaving went unnoticed", reason=error.message)
