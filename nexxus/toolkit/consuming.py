"""Consuming a queue: for as long as the role runs, and never leaving a batch half done.

A message that cannot be processed must not keep others: whatever a batch fails with that nobody
expected, its messages are then processed one by one. One that fails alone is tried again, its
key's later ones behind it, and at last set aside as a dead letter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeAlias, TypeVar

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, Queue, Received
from nexxus.interfaces.logger import Logger

T = TypeVar("T")

Process: TypeAlias = Callable[[Consumer[T], Sequence[Received[T]]], Coroutine[Any, Any, None]]
"""Handles a batch, and settles, retries or buries each of its messages."""

GiveUp: TypeAlias = Callable[[Received[T], Exception], Awaitable[None]]
"""Tells whoever waits for a message that it is set aside, and why."""

ATTEMPTS: Final = 8
"""How often a message is tried that fails alone: for a minute or so."""

_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 15.0
_BEFORE_ANOTHER: Final = 1.0
"""Seconds from the loss of a consumer until the next one is asked for."""


async def consume(
    broker: Broker,
    queue: Queue[T],
    process: Process[T],
    *,
    batch: int,
    logger: Logger,
    give_up: GiveUp[T] | None = None,
) -> None:
    """Hand the queue's messages to `process`, at most `batch` at a time, until cancelled.

    A batch that was begun is finished first. Where the broker goes away under a consumer, another
    one takes its place as soon as the broker is back, and what was not settled comes again to it.
    `process` may be given a message again that it has settled, when it raised afterwards.
    """
    consumption = _Consumption(queue, process, batch, logger.bind(queue=queue.name), give_up)
    while True:
        try:
            await consumption.run(broker)
        except ServiceUnavailable as error:
            logger.warning("a queue cannot be consumed", queue=queue.name, reason=error.message)
            await asyncio.sleep(_BEFORE_ANOTHER)


class _Consumption(Generic[T]):
    """How one queue's messages are processed."""

    def __init__(
        self,
        queue: Queue[T],
        process: Process[T],
        batch: int,
        logger: Logger,
        give_up: GiveUp[T] | None,
    ) -> None:
        self._queue = queue
        self._process = process
        self._batch = batch
        self._logger = logger
        self._give_up = give_up

    async def run(self, broker: Broker) -> None:
        """Consume until cancelled, or until the broker goes away."""
        consumer = await broker.consume(self._queue, prefetch=2 * self._batch)
        try:
            while True:
                await _finish(self._handle(consumer, await consumer.take(self._batch)))
        finally:
            await consumer.close()

    async def _handle(self, consumer: Consumer[T], messages: Sequence[Received[T]]) -> None:
        error = await self._try(consumer, messages)
        if error is None:
            return
        self._logger.error("a batch cannot be processed as a whole", error=error)
        waiting: dict[str, list[Received[T]]] = {}
        for message in messages:
            if message.key in waiting:
                waiting[message.key].append(message)
                continue
            if len(messages) > 1:
                error = await self._try(consumer, [message])
            if error is None:
                continue
            if message.attempts + 1 < ATTEMPTS:
                waiting[message.key] = [message]
            else:
                await self._set_aside(consumer, message, error)
        for those in waiting.values():
            delay = min(_FIRST_DELAY * 2 ** those[0].attempts, _LONGEST_DELAY)
            await consumer.retry(those, delay)

    async def _try(
        self, consumer: Consumer[T], messages: Sequence[Received[T]]
    ) -> Exception | None:
        try:
            await self._process(consumer, messages)
        except ServiceUnavailable:
            raise
        except Exception as error:  # whatever it is, it must not end the role
            return error
        return None

    async def _set_aside(
        self, consumer: Consumer[T], message: Received[T], error: Exception
    ) -> None:
        self._logger.error(
            "a message is set aside as a dead letter", subject=message.key.split("\0"), error=error
        )
        if self._give_up is not None:
            await self._give_up(message, error)
        await consumer.bury([message], f"{type(error).__name__}: {error}")


async def _finish(work: Awaitable[None]) -> None:
    """Await `work`; when cancelled meanwhile, only after `work` has come to its end.

    Cancelled again, `work` is cut off.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        # Else a broker that is away by then would let the consumer forget that it is to end.
        with suppress(ServiceUnavailable):
            await task
        raise
