"""The role that runs a custom worker: passes the events of its group to the plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Final

import msgspec

from nexxus.cluster.consuming import Failure, Retries, consume
from nexxus.cluster.dead_letters import DeadLetters
from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, Received, worker_group
from nexxus.interfaces.worker import LONGEST_RETRY, Failed, Worker, WorkerContext
from nexxus.observability.figures import counter
from nexxus.toolkit.backoff import Backoff

OnSettled = Callable[[str, Iterable[Event]], None]
"""Called with the group's name and the events that it has finished."""


class WorkerFigures(msgspec.Struct):
    """The figures of a custom worker."""

    handled: Annotated[int, counter("Events that the worker has handled.")] = 0
    failed: Annotated[int, counter("Attempts to handle an event that failed.")] = 0


_OPEN_AGAIN: Final = Backoff(first=0.2, longest=5.0)
_HANDLE_AGAIN: Final = Backoff(first=0.5, longest=60.0)


class WorkerRunner:
    """Runs one custom worker as a member of its group."""

    def __init__(
        self,
        worker: Worker,
        context: WorkerContext,
        *,
        broker: Broker,
        dead_letters: DeadLetters,
        on_settled: OnSettled | None = None,
        open_again: Backoff = _OPEN_AGAIN,
        handle_again: Backoff = _HANDLE_AGAIN,
    ) -> None:
        self.figures = WorkerFigures()
        self.group = worker_group(context.name)
        self._worker = worker
        self._context = context
        self._broker = broker
        self._dead_letters = dead_letters
        self._on_settled = on_settled
        self._logger = context.logger
        self._open_again = open_again
        self._retries = Retries(attempts=worker.attempts, backoff=handle_again)
        self._is_busy = False

    async def run(self) -> None:
        """Consume until cancelled; a batch that was begun is finished first.

        When cancelled again meanwhile, it is cut off, and comes again to the next consumer.
        """
        await self._open()
        try:
            await consume(
                self._broker,
                self.group,
                self._process,
                batch=self._worker.batch,
                dead_letters=self._dead_letters,
                logger=self._logger,
                retries=self._retries,
                give_up=self._give_up,
            )
        finally:
            await self._worker.close()

    async def is_done(self) -> bool:
        """Return whether no event waits or is being handled; for a group without other members."""
        if await self._broker.depth(self.group):
            return False
        # Events that were received before this turn of the loop may still be given back.
        await asyncio.sleep(0)
        return not self._is_busy and not await self._broker.depth(self.group)

    async def _open(self) -> None:
        """Open the worker; retry while a service that it needs is away."""
        failures = 0
        while True:
            try:
                return await self._worker.open(self._context)
            except ServiceUnavailable as error:
                self._logger.warning("a worker cannot begin yet", reason=error.message)
            failures += 1
            await asyncio.sleep(self._open_again.delay(failures))

    async def _process(
        self, consumer: Consumer[Event], batch: Sequence[Received[Event]]
    ) -> Sequence[Failure[Event]]:
        self._is_busy = True
        try:
            return await self._hand_over(consumer, batch)
        finally:
            self._is_busy = False

    async def _hand_over(
        self, consumer: Consumer[Event], batch: Sequence[Received[Event]]
    ) -> Sequence[Failure[Event]]:
        failures: list[Failure[Event]] = []
        held_up: set[str] = set()
        wanted = [message for message in batch if self._wants(message.payload)]
        if len(wanted) < len(batch):
            unwanted = [message for message in batch if not self._wants(message.payload)]
            await self._settle(consumer, unwanted)
        for part in _parts(wanted, largest=self._worker.batch, attempts=self._worker.attempts):
            ready = [message for message in part if message.key not in held_up]
            if not ready:
                continue
            failed = await self._handle(ready)
            failures += failed
            held_up.update(failure.message.key for failure in failed)
            done = _before(ready, failed)
            self.figures.failed += len(failed)
            self.figures.handled += len(done)
            await self._settle(consumer, done)
        return failures

    async def _handle(self, part: Sequence[Received[Event]]) -> Sequence[Failure[Event]]:
        """Call the worker. Returns the failures."""
        try:
            failed = await self._worker.handle([message.payload for message in part])
            return [_failure(each, part) for each in failed or ()]
        except Exception as error:  # a plugin may raise anything, and must not end the process
            return [Failure(message, error) for message in part]

    def _wants(self, event: Event) -> bool:
        return self._worker.models is None or event.type in self._worker.models

    async def _settle(self, consumer: Consumer[Event], done: Sequence[Received[Event]]) -> None:
        await consumer.settle(done)
        if self._on_settled is not None:
            self._on_settled(self.group.name, [message.payload for message in done])

    async def _give_up(self, message: Received[Event], _: Exception) -> None:
        if self._on_settled is not None:
            self._on_settled(self.group.name, (message.payload,))


def _parts(
    batch: Sequence[Received[Event]], *, largest: int, attempts: int
) -> Iterator[Sequence[Received[Event]]]:
    """Yield the batch in parts, which are smaller for events that have failed before.

    Each attempt halves the largest part, so that an event that always fails is soon alone. The last
    of the `attempts` is made alone, so that neighbours cannot cause it to fail.
    """
    part: list[Received[Event]] = []
    limit = largest
    for message in batch:
        is_last = message.attempts + 1 >= attempts
        its_limit = 1 if is_last else max(1, largest >> message.attempts)
        if part and (its_limit != limit or len(part) >= limit):
            yield part
            part = []
        limit = its_limit
        part.append(message)
    if part:
        yield part


def _failure(failed: Failed, part: Sequence[Received[Event]]) -> Failure[Event]:
    """Return the failure of a message; raises `ValueError` for an event that is not of `part`."""
    for message in part:
        if message.payload is failed.event or message.payload == failed.event:
            delay = failed.retry_after
            return Failure(
                message, failed.error, None if delay is None else min(delay, LONGEST_RETRY)
            )
    raise ValueError(f"handle returned an event that it was not given: {failed.event.key}")


def _before(
    part: Sequence[Received[Event]], failures: Sequence[Failure[Event]]
) -> list[Received[Event]]:
    """Return the messages that are done: none failed, and none before them of their object did."""
    failed = {id(failure.message) for failure in failures}
    held_up: set[str] = set()
    done = []
    for message in part:
        if id(message) in failed:
            held_up.add(message.key)
        elif message.key not in held_up:
            done.append(message)
    return done
