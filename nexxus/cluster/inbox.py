"""The node's inbox: one consumer of the node's own queue, for whoever listens in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from nexxus.cluster.messages import NodeMessage
from nexxus.errors import MessagesLost, ServiceUnavailable
from nexxus.interfaces.broker import Broker, Consumer, node_queue
from nexxus.interfaces.logger import Logger

M = TypeVar("M")

_BATCH: Final = 128
"""Messages handled in one turn of the loop: what they send to one socket leaves in one write."""

_RETRY_AFTER: Final = 0.5
"""Seconds until a broker that was away is asked again."""


class NodeInbox:
    """Takes the node's messages in order and calls the handlers of each one's type.

    A handler must not block and must not await: it starts what takes time. Whatever it raises
    is logged; the message is done with all the same. Every message goes to every handler of its
    type, in the order in which they were added, and one without a handler is dropped.
    """

    def __init__(self, broker: Broker, *, transport: str, node: str, logger: Logger) -> None:
        self._broker = broker
        self._queue = node_queue(transport, node)
        self._logger = logger
        self._handlers: dict[type, list[Callable[[Any], None]]] = {}
        self._on_loss: list[Callable[[], None]] = []
        self._consumer: Consumer[NodeMessage] | None = None

    def on(self, kind: type[M], handler: Callable[[M], None]) -> None:
        """Call `handler` with every message of type `kind`."""
        self._handlers.setdefault(kind, []).append(handler)

    def on_loss(self, handler: Callable[[], None]) -> None:
        """Call `handler` when messages to this node were lost, before any later one is handled."""
        self._on_loss.append(handler)

    async def open(self) -> None:
        """Declare the queue: from now on no message is lost. Raises `ServiceUnavailable`."""
        if self._consumer is None:
            self._consumer = await self._broker.consume(self._queue, prefetch=8 * _BATCH)

    async def run(self) -> None:
        """Handle messages until cancelled; waits for a broker that is away."""
        try:
            while True:
                try:
                    await self._run()
                except ServiceUnavailable as error:
                    self._logger.warning("the broker is away; trying again", reason=str(error))
                    await self._close()
                    await asyncio.sleep(_RETRY_AFTER)
        finally:
            await self._close()

    async def _run(self) -> None:
        await self.open()
        consumer = self._consumer
        assert consumer is not None
        while True:
            try:
                batch = await consumer.take(_BATCH)
            except MessagesLost as error:
                self._logger.error("messages to this node were lost", reason=str(error))
                self._tell_loss()
                continue
            for received in batch:
                self._dispatch(received.payload)
            # What the handlers have put off to the end of the turn is done before the next batch.
            await asyncio.sleep(0)
            await consumer.settle(batch)

    def _dispatch(self, message: NodeMessage) -> None:
        for handler in self._handlers.get(type(message), ()):
            try:
                handler(message)
            except Exception:
                kind = type(message).__name__
                self._logger.exception("a message to this node was not handled", kind=kind)

    def _tell_loss(self) -> None:
        for handler in self._on_loss:
            try:
                handler()
            except Exception:
                self._logger.exception("a loss of messages was not handled")

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.close()
