"""Membership: announces that this node is alive, and removes nodes that are not.

The registry reports when it has lost data, and a node that died may have left a change half done.
Each node then writes its own entries again. This runs concurrently with the announcements, as does
following changes of applications, because either may take longer than the lifetime of an
announcement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from nexxus.applications.applications import Applications
from nexxus.errors import NexxusError, ServiceUnavailable
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Node, Registry
from nexxus.toolkit.backoff import Backoff

LIFETIME = 15.0
"""Seconds after its last announcement when a node counts as dead."""

_ALL_EVERY: Final = 20
"""In how many rounds all applications are read once, instead of the changed ones only."""

_FINISH_AGAIN: Final = Backoff(first=0.1, longest=3.0)
"""The pauses between attempts to finish what follows from a change."""


class Membership:
    """Announces a node, sweeps dead ones, and notices what other nodes changed.

    Other nodes send a message when they change an application. Every `every` seconds this node also
    looks for changes itself, in case a message was lost, and now and then it reads all of them.
    `restore` puts into the registry what this node serves; it is called again until it returns.
    """

    def __init__(
        self,
        node: Node,
        *,
        registry: Registry,
        applications: Applications,
        restore: Callable[[], Awaitable[None]],
        logger: Logger,
        every: float = 3.0,
        finish_again: Backoff = _FINISH_AGAIN,
    ) -> None:
        self._node = node
        self._every = every
        self._finish_again = finish_again
        self._registry = registry
        self._applications = applications
        self._restore = restore
        self._logger = logger
        self._is_doubtful = asyncio.Event()
        self._others: frozenset[str] = frozenset()
        self._sweep_after = 0.0

    async def join(self) -> None:
        """Announce this node, before anything is served."""
        await self._registry.nodes.announce(self._node, LIFETIME)

    async def run(self) -> None:
        """Announce this node regularly until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_known())
            tasks.create_task(self._put_back())
            tasks.create_task(self._follow_applications())
            tasks.create_task(self._finish_changes())

    async def _stay_known(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._every)
            try:
                if not await self._registry.nodes.announce(self._node, LIFETIME):
                    self._logger.warning(
                        "the registry may have lost data; putting back what is ours"
                    )
                    self._is_doubtful.set()
                if loop.time() >= self._sweep_after:
                    for dead in await self._registry.nodes.sweep():
                        self._logger.warning("a node has died and was swept", dead=dead)
                await self._look_at_others()
            except ServiceUnavailable as error:
                self._logger.warning("the other nodes are out of sight", reason=error.message)
                # No node could announce itself meanwhile, so all of them would seem dead.
                self._sweep_after = loop.time() + LIFETIME

    async def _look_at_others(self) -> None:
        """Find out which nodes have left since the last time."""
        former, present = self._others, await self._registry.nodes.alive()
        self._others = frozenset(node.id for node in present if node.id != self._node.id)
        if former - self._others:
            self._is_doubtful.set()

    async def _follow_applications(self) -> None:
        """Follow the changes of other nodes; an error of one change does not stop this."""
        rounds = 0
        while True:
            await asyncio.sleep(self._every)
            rounds += 1
            if not self._others:
                continue
            try:
                if rounds % _ALL_EVERY:
                    await self._applications.look_for_changes()
                else:
                    await self._applications.refresh()
            except NexxusError as error:
                self._logger.warning("applications could not be followed", reason=str(error))
            except Exception:
                self._logger.exception("applications could not be followed")

    async def _finish_changes(self) -> None:
        """Run the change listeners that have not finished, until they succeed."""
        failures = 0
        while True:
            try:
                await self._applications.finish_changes()
            except NexxusError as error:
                self._logger.warning("a change is not in force altogether", reason=str(error))
                failures += 1
            except Exception:
                self._logger.exception("a change is not in force altogether")
                failures += 1
            else:
                failures = 0
            await asyncio.sleep(self._finish_again.delay(failures + 1))

    async def _put_back(self) -> None:
        while True:
            await self._is_doubtful.wait()
            self._is_doubtful.clear()
            try:
                await self._restore()
            except ServiceUnavailable as error:
                self._logger.warning("not everything was put back", reason=error.message)
                await asyncio.sleep(self._every)
                self._is_doubtful.set()

    async def leave(self) -> None:
        """Remove this node from the registry."""
        try:
            await self._registry.nodes.retire(self._node.id)
        except ServiceUnavailable as error:
            self._logger.warning("leaving went unnoticed", reason=error.message)
