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
_ALL_EVERY = 60.0


class Membership:
    """Announces a node, sweeps dead ones, and notices what other nodes changed.

    A node is told of a changed application through its queue; looking every `_EVERY` seconds is
    for the message that was lost, and reading them all every `_ALL_EVERY` for the rest.
    """

    def __init__(
        self, node: Node, *, registry: Registry, applications: Applications, logger: Logger
    ) -> None:
        self._node = node
        self._registry = registry
        self._applications = applications
        self._logger = logger

    async def join(self) -> None:
        """Be known to the others, before anything is served."""
        await self._registry.announce(self._node, LIFETIME)

    async def run(self) -> None:
        """Stay known until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(_EVERY)
            rounds += 1
            try:
                await self._registry.announce(self._node, LIFETIME)
                for dead in await self._registry.sweep():
                    self._logger.warning("a node has died and was swept", dead=dead)
                if len(await self._registry.nodes()) > 1:
                    if rounds % round(_ALL_EVERY / _EVERY):
                        await self._applications.look_for_changes()
                    else:
                        await self._applications.refresh()
            except ServiceUnavailable as error:
                self._logger.warning("the other nodes are out of sight", reason=error.message)

    async def leave(self) -> None:
        """Be forgotten at once."""
        try:
            await self._registry.retire(self._node.id)
        except ServiceUnavailable as error:
            self._logger.warning("leaving went unnoticed", reason=error.message)
