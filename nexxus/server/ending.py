"""The end of the roles that work on writes: each finishes what the one before it left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from nexxus.interfaces.broker import TRANSPORT_MANAGER, WRITER, Broker, Group
from nexxus.server.parts import Parts
from nexxus.server.role_tasks import RoleTasks

_A_MOMENT: Final = 1.0
"""Seconds that a role has for ending even when there is no time left: most have nothing in hand."""

_LOOK_AGAIN: Final = 0.02
"""Seconds between two looks at a queue that has to run empty."""


async def finish_writes(parts: Parts, roles: RoleTasks, *, within: float) -> None:
    """End the writer, and then the roles that consume its events.

    Unless the broker is durable, its queues are emptied first. No writes may be submitted any more.
    Everything together takes `within` seconds at most; roles that have not finished by then are cut
    off. What workers have not handled then waits for the next start, in the broker or the outbox.
    """
    until = asyncio.get_running_loop().time() + within
    if not parts.adapters.broker.is_durable:
        emptying = _Emptying(parts.adapters.broker, roles, until)
        await emptying.end(WRITER, "writer", parts.writer.run)
        manager = parts.transport_manager
        await emptying.end(TRANSPORT_MANAGER, "transport-manager", manager.run)
        await _reach(lambda: _are_workers_done(parts, roles), until)
    await roles.end("writer", "tombstones", "outbox", within=_left(until))
    workers = [f"worker {name}" for name in parts.workers]
    await roles.end("transport-manager", *workers, within=_left(until))
    await roles.end("push expansion", "push sender", within=_left(until))
    if parts.outbox is not None:
        with suppress(TimeoutError):  # what is not cleared is delivered once more
            async with asyncio.timeout(_left(until)):
                await parts.outbox.clear()


class _Emptying:
    """Lets roles work until their queues are empty, or `until` of the loop's time."""

    def __init__(self, broker: Broker, roles: RoleTasks, until: float) -> None:
        self._broker = broker
        self._roles = roles
        self._until = until

    async def end(
        self, group: Group[Any], role: str, run: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """End a role that runs once its queue is empty, and it has finished what is in hand."""
        loop = asyncio.get_running_loop()

        async def is_empty() -> bool:
            return not await self._broker.depth(group)

        while self._roles.is_running(role):
            await _reach(is_empty, self._until)
            await self._roles.end(role, within=_left(self._until))
            # It may have failed with what it had in hand, and have given it back.
            if loop.time() < self._until and not await is_empty():
                self._roles.start(role, run())


async def _are_workers_done(parts: Parts, roles: RoleTasks) -> bool:
    """Return whether the running workers have nothing left to do, when no events are added."""
    for name, worker in parts.workers.items():
        if roles.is_running(f"worker {name}") and not await worker.is_done():
            return False
    return True


def _left(until: float) -> float:
    return max(until - asyncio.get_running_loop().time(), _A_MOMENT)


async def _reach(state: Callable[[], Awaitable[bool]], until: float) -> None:
    """Wait for a state, but no longer than `until` of the loop's time."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            while not await state():  # noqa: ASYNC110 - a broker does not tell when a queue is empty
                await asyncio.sleep(_LOOK_AGAIN)
