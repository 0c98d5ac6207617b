"""The end of the roles that work on writes: each has done what the one before it left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from nexxus.interfaces.broker import TRANSPORT_MANAGER, WRITER, Broker, Queue
from nexxus.server.parts import Parts
from nexxus.server.roles import Roles

_A_MOMENT: Final = 1.0
"""Seconds that a role has for ending even when there is no time left: most have nothing in hand."""

_LOOK_AGAIN: Final = 0.02
"""Seconds between two looks at a queue that is to run empty."""


async def finish_writes(
    parts: Parts, roles: Roles, *, queues_outlive_us: bool, within: float
) -> None:
    """End the writer, and then those who are told what it has written.

    Unless the queues outlive the process, they are emptied first: what has been stored is told to
    every worker. Nobody may submit writes any more. Everything together takes `within` so many
    seconds; whoever has not finished by then is cut off.
    """
    until = asyncio.get_running_loop().time() + within
    if not queues_outlive_us:
        emptying = _Emptying(parts.adapters.broker, roles, until)
        await emptying.end(WRITER, "writer", parts.writer.run)
        manager = parts.transport_manager
        await emptying.end(TRANSPORT_MANAGER, "transport-manager", manager.run)
        await _reach(lambda: _are_workers_done(parts, roles), until)
    await roles.end("writer", "tombstones", within=_left(until))
    workers = [f"worker {name}" for name in parts.workers]
    await roles.end("transport-manager", *workers, within=_left(until))
    if not queues_outlive_us:
        await _tell_what_is_lost(parts)


class _Emptying:
    """Lets roles work until their queues are empty, or `until` of the loop's time."""

    def __init__(self, broker: Broker, roles: Roles, until: float) -> None:
        self._broker = broker
        self._roles = roles
        self._until = until

    async def end(
        self, queue: Queue[Any], role: str, run: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """End a role that runs once its queue is empty, and it has finished what is in hand."""
        loop = asyncio.get_running_loop()

        async def is_empty() -> bool:
            return not await self._broker.depth(queue)

        while self._roles.is_running(role):
            await _reach(is_empty, self._until)
            await self._roles.end(role, within=_left(self._until))
            # It may have failed with what it had in hand, and given it back.
            if loop.time() < self._until and not await is_empty():
                self._roles.start(role, run())


async def _are_workers_done(parts: Parts, roles: Roles) -> bool:
    """Whether the workers that run have nothing left to do. Nobody gives them more."""
    for name, worker in parts.workers.items():
        if roles.is_running(f"worker {name}") and not await worker.is_done():
            return False
    return True


async def _tell_what_is_lost(parts: Parts) -> None:
    for name, worker in parts.workers.items():
        if lost := await parts.adapters.broker.depth(worker.queue):
            parts.adapters.logger.error("events end with the process", worker=name, events=lost)


def _left(until: float) -> float:
    return max(until - asyncio.get_running_loop().time(), _A_MOMENT)


async def _reach(state: Callable[[], Awaitable[bool]], until: float) -> None:
    """Wait for a state, but no longer than `until` of the loop's time."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            while not await state():  # noqa: ASYNC110 - a broker does not tell when a queue is empty
                await asyncio.sleep(_LOOK_AGAIN)
