"""The workers role: hands the writer's events to a plugin's worker, again until it succeeds."""

from __future__ import annotations

from collections.abc import Sequence

from nexxus.consuming import consume
from nexxus.domain.events import Event
from nexxus.interfaces.broker import Broker, Consumer, Received, worker_queue
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.worker import Worker, WorkerContext

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 60.0


class WorkerRunner:
    """Runs one custom worker on its own queue."""

    def __init__(self, worker: Worker, *, broker: Broker, logger: Logger, node: str) -> None:
        self._worker = worker
        self._broker = broker
        self._logger = logger.bind(worker=worker.name)
        self._node = node

    async def run(self) -> None:
        """Consume until cancelled; a batch that was begun is finished first."""
        await self._worker.open(WorkerContext(self._node, self._logger))
        try:
            queue, batch = worker_queue(self._worker.name), self._worker.batch
            await consume(self._broker, queue, self._process, batch=batch, logger=self._logger)
        finally:
            await self._worker.close()

    async def _process(self, consumer: Consumer[Event], batch: Sequence[Received[Event]]) -> None:
        try:
            await self._worker.handle([message.payload for message in batch])
        except Exception as error:  # a plugin may raise anything, and must not end the process
            await self._try_again(consumer, batch, error)
        else:
            await consumer.settle(batch)

    async def _try_again(
        self, consumer: Consumer[Event], batch: Sequence[Received[Event]], error: Exception
    ) -> None:
        spent = [m for m in batch if m.attempts + 1 >= self._worker.attempts]
        others = [m for m in batch if m.attempts + 1 < self._worker.attempts]
        self._logger.error(
            "a worker failed", error=error, retried=len(others), dead_letters=len(spent)
        )
        if spent:
            await consumer.bury(spent, f"{type(error).__name__}: {error}")
        if others:
            tried = max(message.attempts for message in others)
            await consumer.retry(others, min(_FIRST_DELAY * 2**tried, _LONGEST_DELAY))
