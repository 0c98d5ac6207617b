"""The workers role: hands the writer's events to a plugin's worker, again until it succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, Received, worker_queue
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.worker import Worker, WorkerContext
from nexxus.toolkit.consuming import consume

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 60.0

_OPEN_AGAIN_AFTER = 0.2
_OPEN_AGAIN_AT_LATEST = 5.0


class WorkerRunner:
    """Runs one custom worker on its own queue."""

    def __init__(self, worker: Worker, *, broker: Broker, logger: Logger, node: str) -> None:
        self._worker = worker
        self._broker = broker
        self._logger = logger.bind(worker=worker.name)
        self._node = node
        self._is_busy = False
        self.queue = worker_queue(worker.name)

    async def run(self) -> None:
        """Consume until cancelled; a batch that was begun is finished first.

        Cancelled again meanwhile, it is cut off, and comes again to whoever consumes next.
        """
        await self._open()
        try:
            await consume(
                self._broker,
                self.queue,
                self._process,
                batch=self._worker.batch,
                logger=self._logger,
            )
        finally:
            await self._worker.close()

    async def is_done(self) -> bool:
        """Whether no event waits and none is in hand; for a queue that nobody else consumes."""
        if await self._broker.depth(self.queue):
            return False
        # What was taken before is in hand after this turn of the loop, and may be given back.
        await asyncio.sleep(0)
        return not self._is_busy and not await self._broker.depth(self.queue)

    async def _open(self) -> None:
        """Open the worker; while what it needs is away, again: its events wait in the queue."""
        context, delay = WorkerContext(self._node, self._logger), _OPEN_AGAIN_AFTER
        while True:
            try:
                return await self._worker.open(context)
            except ServiceUnavailable as error:
                self._logger.warning("a worker cannot begin yet", reason=error.message)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _OPEN_AGAIN_AT_LATEST)

    async def _process(self, consumer: Consumer[Event], batch: Sequence[Received[Event]]) -> None:
        self._is_busy = True
        try:
            await self._hand_over(consumer, batch)
        finally:
            self._is_busy = False

    async def _hand_over(self, consumer: Consumer[Event], batch: Sequence[Received[Event]]) -> None:
        held_up: set[str] = set()
        delay = 0.0
        for part in self._parts(batch):
            behind = [message for message in part if message.key in held_up]
            if behind:
                await consumer.retry(behind, delay)
            ready = [message for message in part if message.key not in held_up]
            if not ready:
                continue
            try:
                await self._worker.handle([message.payload for message in ready])
            except Exception as error:  # a plugin may raise anything, and must not end the process
                delay = min(_FIRST_DELAY * 2 ** max(m.attempts for m in ready), _LONGEST_DELAY)
                await self._try_again(consumer, ready, error, delay)
                held_up.update(m.key for m in ready if not self._is_last(m))
            else:
                await consumer.settle(ready)

    def _parts(self, batch: Sequence[Received[Event]]) -> Iterator[Sequence[Received[Event]]]:
        """The batch in pieces: an event is alone at its last attempt, so that it fails for itself.

        Otherwise one that cannot be handled would have all that came with it set aside, too.
        """
        part: list[Received[Event]] = []
        for message in batch:
            if not self._is_last(message):
                part.append(message)
                continue
            if part:
                yield part
            yield [message]
            part = []
        if part:
            yield part

    def _is_last(self, message: Received[Event]) -> bool:
        """Whether this is the last time that the event is tried."""
        return message.attempts + 1 >= self._worker.attempts

    async def _try_again(
        self,
        consumer: Consumer[Event],
        part: Sequence[Received[Event]],
        error: Exception,
        delay: float,
    ) -> None:
        spent = [message for message in part if self._is_last(message)]
        others = [message for message in part if not self._is_last(message)]
        self._logger.error(
            "a worker failed", error=error, retried=len(others), dead_letters=len(spent)
        )
        if spent:
            await consumer.bury(spent, f"{type(error).__name__}: {error}")
        if others:
            await consumer.retry(others, delay)
