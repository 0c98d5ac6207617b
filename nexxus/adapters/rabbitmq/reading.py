"""Reading from RabbitMQ for as long as it is wanted, however often the connection is lost."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, Final

from aio_pika.abc import AbstractConnection

from nexxus.adapters.rabbitmq.link import AWAY, Link
from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.interfaces.logger import Logger
from nexxus.toolkit.delivery_buffer import DeliveryBuffer

TRY_AGAIN: Final = 0.5
"""Seconds between two attempts."""


class Reading(ABC):
    """Fills a buffer from RabbitMQ in a task of its own. `name` is what is read, for messages."""

    def __init__(
        self, name: str, *, prefetch: int, link: Link[AbstractConnection], logger: Logger
    ) -> None:
        self.name = name
        self.buffer = DeliveryBuffer(prefetch)
        self.is_closed = False
        self.is_reading = asyncio.Event()
        """Set once messages have been waited for: then none is missed any more."""
        self._link = link
        self._logger = logger
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def serve(self, connection: AbstractConnection) -> None:
        """Receive until the connection is lost; when cancelled, stop in an orderly way."""

    async def start(self, patience: float) -> bool:
        """Begin; return whether messages were waited for within `patience` seconds.

        If not, it goes on trying. Raises `StartupError` for what trying again does not fix.
        """
        task = self._task = asyncio.create_task(self._run())
        task.add_done_callback(lambda _: self.buffer.awake.set())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await first_of(task, self.is_reading)
            self.check_running()
        except BaseException:
            # Nobody would read what it goes on receiving.
            await self.stop()
            raise
        return self.is_reading.is_set()

    def check_running(self) -> None:
        """Raise the `StartupError` that has ended the reading."""
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            error = task.exception()
            raise StartupError(f"{self.name} cannot be consumed: {error}") from error

    async def stop(self) -> None:
        """Read no more. May be called twice."""
        self.is_closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.buffer.close()

    async def _run(self) -> None:
        # A task group that is cancelled while a task of it fails raises only the failure: the loop
        # must not depend on the cancellation.
        while not self.is_closed:
            connection = await self._connection()
            try:
                await self.serve(connection)
            except* (ServiceUnavailable, *AWAY) as group:
                reason = str(_first(group))
                self._logger.warning("reading was interrupted", source=self.name, reason=reason)
            await asyncio.sleep(TRY_AGAIN)

    async def _connection(self) -> AbstractConnection:
        while True:
            with suppress(ServiceUnavailable):
                return await self._link.get()
            await asyncio.sleep(TRY_AGAIN)


async def first_of(task: asyncio.Task[Any], event: asyncio.Event) -> None:
    """Return when the task is done or the event is set."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one of the errors of a group; the others are its consequences."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
