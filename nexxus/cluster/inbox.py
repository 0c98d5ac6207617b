"""The inbox: reads a mailbox and calls the handlers for each type of message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from nexxus.errors import MessagesLost, ServiceUnavailable
from nexxus.interfaces.broker import Broker, Mailbox, Receiver
from nexxus.interfaces.logger import Logger

T = TypeVar("T")
M = TypeVar("M")

_BATCH: Final = 128
"""Messages handled in one turn of the loop, so that what they send to a socket is one write."""

_RETRY_DELAY: Final = 0.5


class Inbox(Generic[T]):
    """Reads a mailbox in order and calls the handlers of each message's type.

    A handler must not block and must not await: it starts what takes time. What it raises is
    logged. Every message goes to every handler of its type, in the order in which they were added.
    `retry_delay` is in seconds, for a broker that was away.
    """

    def __init__(
        self,
        broker: Broker,
        mailbox: Mailbox[T],
        *,
        logger: Logger,
        retry_delay: float = _RETRY_DELAY,
    ) -> None:
        self._broker = broker
        self._mailbox = mailbox
        self._logger = logger.bind(mailbox=mailbox.name)
        self._retry_delay = retry_delay
        self._handlers: dict[type, list[Callable[[Any], None]]] = {}
        self._on_loss: list[Callable[[], None]] = []
        self._receiver: Receiver[T] | None = None
        self._is_broken = False
        """Whether the mailbox has ended, so that messages sent since are lost."""

    def on(self, kind: type[M], handler: Callable[[M], None]) -> None:
        """Call `handler` with every message of type `kind`."""
        self._handlers.setdefault(kind, []).append(handler)

    def on_loss(self, handler: Callable[[], None]) -> None:
        """Call `handler` when messages were lost, before any later one is handled."""
        self._on_loss.append(handler)

    async def open(self) -> None:
        """Create the mailbox; from now on no message is lost. Raises `ServiceUnavailable`."""
        if self._receiver is None:
            self._receiver = await self._broker.receive(self._mailbox)

    async def run(self) -> None:
        """Handle messages until cancelled; waits for a broker that is away."""
        try:
            while True:
                try:
                    await self._read()
                except ServiceUnavailable as error:
                    self._logger.warning("the broker is away; trying again", reason=str(error))
                    self._is_broken = self._is_broken or self._receiver is not None
                    await self._close()
                    await asyncio.sleep(self._retry_delay)
        finally:
            await self._close()

    async def _read(self) -> None:
        await self.open()
        receiver = self._receiver
        assert receiver is not None, "opened"
        if self._is_broken:
            self._is_broken = False
            self._report_loss()
        while True:
            try:
                batch = await receiver.take(_BATCH)
            except MessagesLost as error:
                self._logger.error("messages to this node were lost", reason=str(error))
                self._report_loss()
                continue
            for message in batch:
                self._dispatch(message)
            # Run what the handlers have scheduled for the end of the turn before the next batch.
            await asyncio.sleep(0)

    def _dispatch(self, message: T) -> None:
        for handler in self._handlers.get(type(message), ()):
            try:
                handler(message)
            except Exception:
                kind = type(message).__name__
                self._logger.exception("a message to this node was not handled", kind=kind)

    def _report_loss(self) -> None:
        for handler in self._on_loss:
            try:
                handler()
            except Exception:
                self._logger.exception("a loss of messages was not handled")

    async def _close(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            await receiver.close()
