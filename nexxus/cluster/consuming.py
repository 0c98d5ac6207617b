"""Consumes a group's messages while a role runs, without leaving a batch half done.

A message that cannot be processed must not block others. It is tried again after a growing delay,
followed by the later messages of its key, and finally stored as a dead letter. If a whole batch
fails, its messages are processed one by one. A message that fails because a service is away is not
at fault: it waits for the service without limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from nexxus.cluster.dead_letters import DeadLetters
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, Group, Received, Undecodable
from nexxus.interfaces.logger import Logger
from nexxus.toolkit.backoff import Backoff

T = TypeVar("T")

_DELIVERIES: Final = 20
"""How many deliveries to consumers that then died a message may have, beyond its attempts."""


class Failure(NamedTuple, Generic[T]):
    """A message that could not be processed. It is tried again after `delay` seconds; None leaves
    that to `Retries`. A `ServiceUnavailable` does not count as an attempt."""

    message: Received[T]
    error: Exception
    delay: float | None = None


Process: TypeAlias = Callable[
    [Consumer[T], Sequence[Received[T]]], Coroutine[Any, Any, Sequence[Failure[T]]]
]
"""Processes a batch and settles it, except the failures that it returns and the later messages of
their keys. If it raises, the messages that it has not settled are processed again, one by one."""

GiveUp: TypeAlias = Callable[[Received[T], Exception], Awaitable[None]]
"""Called with a message that became a dead letter and the error. It is settled afterwards."""


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often a failing message is tried, and with which delays. Times are in seconds.

    The delay is `away_delay` if a service is away. A lost consumer is replaced after
    `reconnect_delay`.
    """

    attempts: int = 8
    backoff: Backoff = Backoff(first=0.5, longest=15.0)
    away_delay: float = 5.0
    reconnect_delay: float = 1.0

    def delay_after(self, attempts: int) -> float:
        """Return how long to wait once a message has failed, `attempts` times before that."""
        return self.backoff.delay(attempts + 1)


STANDARD_RETRIES: Final = Retries()
"""A failing message is tried for about a minute."""


async def consume(
    broker: Broker,
    group: Group[T],
    process: Process[T],
    *,
    batch: int,
    dead_letters: DeadLetters,
    logger: Logger,
    retries: Retries = STANDARD_RETRIES,
    give_up: GiveUp[T] | None = None,
) -> None:
    """Hand the group's messages to `process`, at most `batch` at a time, until cancelled.

    A batch that was started is finished first. If a consumer loses the broker, it is replaced as
    soon as the broker is back, and unsettled messages are delivered again.
    """
    consumption = _Consumption(group, process, batch, dead_letters, logger, retries, give_up)
    while True:
        try:
            await consumption.run(broker)
        except ServiceUnavailable as error:
            logger.warning("a group cannot be consumed", group=group.name, reason=error.message)
            await asyncio.sleep(retries.reconnect_delay)


class _Consumption(Generic[T]):
    """How one group's messages are processed."""

    def __init__(
        self,
        group: Group[T],
        process: Process[T],
        batch: int,
        dead_letters: DeadLetters,
        logger: Logger,
        retries: Retries,
        give_up: GiveUp[T] | None,
    ) -> None:
        self._group = group
        self._process = process
        self._batch = batch
        self._dead_letters = dead_letters
        self._logger = logger.bind(group=group.name)
        self._retries = retries
        self._give_up = give_up

    async def run(self, broker: Broker) -> None:
        """Consume until cancelled, or until the broker goes away."""
        consumer = await broker.consume(
            self._group, prefetch=2 * self._batch, set_aside=self._bury_undecodable
        )
        if not broker.is_durable:
            consumer = _Noting(consumer, self._group, self._dead_letters, self._logger)
        try:
            while True:
                await _finish(self._handle(consumer, await consumer.take(self._batch)))
        finally:
            await consumer.close()

    async def _handle(self, consumer: Consumer[T], messages: Sequence[Received[T]]) -> None:
        limit = self._retries.attempts + _DELIVERIES
        deadly = [message for message in messages if message.attempts >= limit]
        for message in deadly:
            error = RuntimeError(f"its consumers died or were cut off {message.attempts} times")
            await self._bury(consumer, message, error, attempts=message.attempts)
        rest = [message for message in messages if message not in deadly] if deadly else messages
        if not rest:
            return
        failures = await self._try(consumer, rest)
        if failures:
            await self._retry_or_bury(consumer, rest, failures)

    async def _try(
        self, consumer: Consumer[T], messages: Sequence[Received[T]]
    ) -> Sequence[Failure[T]]:
        """Process messages. After an exception, each message is tried alone to find those at
        fault."""
        try:
            return await self._process(consumer, messages)
        except ServiceUnavailable:
            raise
        except Exception as error:  # whatever it is, it must not end the role
            if len(messages) == 1:
                return (Failure(messages[0], error),)
            self._logger.error("a batch cannot be processed as a whole", error=error)
        failures: list[Failure[T]] = []
        held_up: set[str] = set()
        for message in messages:
            if message.key not in held_up:
                its_own = await self._try(consumer, (message,))
                failures.extend(its_own)
                held_up.update(failure.message.key for failure in its_own)
        return failures

    async def _retry_or_bury(
        self,
        consumer: Consumer[T],
        messages: Sequence[Received[T]],
        failures: Sequence[Failure[T]],
    ) -> None:
        """Retry or bury the failures of each key in order, and give back the later messages."""
        retried = [each for each in failures if not self._is_last_attempt(each)]
        if retried:
            self._logger.warning(
                "messages failed and are tried again",
                messages=len(retried),
                subject=_subject(retried[0].message),
                error=retried[0].error,
            )
        by_key: dict[str, list[Failure[T]]] = {}
        for failure in failures:
            by_key.setdefault(failure.message.key, []).append(failure)
        for key, its_failures in by_key.items():
            for failure in its_failures:
                if self._is_last_attempt(failure):
                    attempts = failure.message.attempts + 1
                    await self._bury(consumer, failure.message, failure.error, attempts=attempts)
                else:
                    await self._retry(consumer, failure)
            failed = [failure.message for failure in its_failures]
            first = messages.index(failed[0])
            behind = [each for each in messages[first:] if each.key == key and each not in failed]
            if behind:
                await consumer.retry(behind, 0.0, failed=False)

    async def _retry(self, consumer: Consumer[T], failure: Failure[T]) -> None:
        delay, is_at_fault = failure.delay, _is_at_fault(failure)
        if delay is None and is_at_fault:
            delay = self._retries.delay_after(failure.message.attempts)
        elif delay is None:
            delay = self._retries.away_delay
        await consumer.retry((failure.message,), delay, failed=is_at_fault)

    def _is_last_attempt(self, failure: Failure[T]) -> bool:
        is_last = failure.message.attempts + 1 >= self._retries.attempts
        return is_last and _is_at_fault(failure)

    async def _bury(
        self, consumer: Consumer[T], message: Received[T], error: Exception, *, attempts: int
    ) -> None:
        """Store a message as a dead letter, so that the later ones of its key can continue."""
        subject = _subject(message)
        self._logger.error("a message becomes a dead letter", subject=subject, error=error)
        reason = f"{type(error).__name__}: {error}"
        try:
            await self._dead_letters.bury(self._group, message, reason, attempts=attempts)
            if self._give_up is not None:
                await self._give_up(message, error)
        except Exception as failure:  # whatever it is, it must not end the role
            self._logger.warning("a dead letter cannot be stored yet", error=failure)
            await consumer.retry((message,), self._retries.backoff.longest, failed=False)
            return
        if message.is_waiting:
            refusal = ServiceUnavailable(f"the message could not be processed: {reason}")
            await consumer.refuse((message,), refusal)
        else:
            await consumer.settle((message,))

    async def _bury_undecodable(self, undecodable: Undecodable) -> None:
        self._logger.error("a message cannot be decoded", reason=undecodable.reason)
        try:
            await self._dead_letters.bury_undecodable(self._group, undecodable)
        except ServiceUnavailable:
            raise
        except Exception as error:  # the broker knows only the other one, and offers it again
            raise ServiceUnavailable(f"a dead letter cannot be stored: {error}") from error


class _Noting(Consumer[T]):
    """A consumer of a broker that is not durable, which reports replayed dead letters as settled.

    They are kept in the database until then.
    """

    def __init__(
        self, consumer: Consumer[T], group: Group[T], dead_letters: DeadLetters, logger: Logger
    ) -> None:
        self._consumer = consumer
        self._group = group
        self._dead_letters = dead_letters
        self._logger = logger

    async def take(self, limit: int) -> list[Received[T]]:
        return await self._consumer.take(limit)

    async def settle(self, messages: Sequence[Received[T]]) -> None:
        await self._consumer.settle(messages)
        try:
            await self._dead_letters.settled(self._group, messages)
        except ServiceUnavailable as error:
            self._logger.warning("a handled dead letter is still stored", reason=error.message)

    async def retry(
        self, messages: Sequence[Received[T]], delay: float, *, failed: bool = True
    ) -> None:
        await self._consumer.retry(messages, delay, failed=failed)

    async def refuse(self, messages: Sequence[Received[T]], error: Exception) -> None:
        await self._consumer.refuse(messages, error)

    async def close(self) -> None:
        await self._consumer.close()


def _is_at_fault(failure: Failure[Any]) -> bool:
    """Return whether the message is at fault, and not a service that it needs."""
    return not isinstance(failure.error, ServiceUnavailable)


def _subject(message: Received[Any]) -> list[str]:
    """Return what a message is about, in words."""
    return message.key.split("\0")


async def _finish(work: Awaitable[None]) -> None:
    """Await `work`. If cancelled meanwhile, first wait until `work` has finished.

    If cancelled again, `work` is cancelled too.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        # Else a broker that is away by then would let the consumer forget that it is to end.
        with suppress(ServiceUnavailable):
            await task
        raise
