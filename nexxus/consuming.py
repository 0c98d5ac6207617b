"""Consuming a queue: for as long as the role runs, and never leaving a batch half done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, Queue, Received
from nexxus.interfaces.logger import Logger

T = TypeVar("T")

Process: TypeAlias = Callable[[Consumer[T], Sequence[Received[T]]], Coroutine[Any, Any, None]]
"""Handles a batch, and settles, retries or buries each of its messages."""

_BEFORE_ANOTHER: Final = 1.0
"""Seconds from the loss of a consumer until the next one is asked for."""


async def consume(
    broker: Broker, queue: Queue[T], process: Process[T], *, batch: int, logger: Logger
) -> None:
    """Hand the queue's messages to `process`, at most `batch` at a time, until cancelled.

    A batch that was begun is finished first. Where the broker goes away under a consumer, another
    one takes its place as soon as the broker is back, and what was not settled comes again to it.
    """
    while True:
        try:
            await _consume_once(broker, queue, process, batch)
        except ServiceUnavailable as error:
            logger.warning("a queue cannot be consumed", queue=queue.name, reason=error.message)
            await asyncio.sleep(_BEFORE_ANOTHER)


async def _consume_once(broker: Broker, queue: Queue[T], process: Process[T], batch: int) -> None:
    consumer = await broker.consume(queue, prefetch=2 * batch)
    try:
        while True:
            await _finish(process(consumer, await consumer.take(batch)))
    finally:
        await consumer.close()


async def _finish(work: Awaitable[None]) -> None:
    """Await `work`; when cancelled meanwhile, only after `work` has come to its end."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
