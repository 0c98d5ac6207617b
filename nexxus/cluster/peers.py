"""Nodes: telling another one something, and waiting until it has done it where that matters."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from nexxus.cluster.messages import (
    Acknowledged,
    ApplicationChanged,
    Delivery,
    HandoverAsked,
    NodeMessage,
    ReplyTo,
    SubscriptionChanged,
)
from nexxus.domain.objects import new_id
from nexxus.domain.operations import OperationError
from nexxus.errors import ServiceUnavailable, WireError, from_wire
from nexxus.interfaces.broker import Broker, Message, node_queue

ANSWER_WITHIN: Final = 5.0
"""Seconds that a node has for acknowledging what it was asked."""


class Nodes:
    """Speaks to the nodes through their own queues; the answers come through this node's.

    `here` is this node's own id. `home` is the transport whose queue every node consumes, for what
    is for the node itself rather than for the gateway of a transport.
    """

    def __init__(self, broker: Broker, *, here: str, home: str) -> None:
        self._broker = broker
        self.here = here
        self.home = home
        self._asked: dict[str, asyncio.Future[Acknowledged]] = {}

    async def tell(self, transport: str, node: str, key: str, message: NodeMessage) -> None:
        """Put a message into a node's queue; messages of one `key` arrive in their order."""
        queue = node_queue(transport, node)
        await self._broker.publish(queue, [Message(key, message)])

    async def ask(
        self,
        transport: str,
        node: str,
        key: str,
        message: SubscriptionChanged | ApplicationChanged | HandoverAsked,
        *,
        within: float = ANSWER_WITHIN,
    ) -> Acknowledged:
        """Tell a node something; its answer, when it has done what follows from it.

        Raises the `WireError` that the node met with, and `ServiceUnavailable` when it does not
        answer within so many seconds: it may have done it or not.
        """
        reply_to = ReplyTo(self.here, new_id())
        answer: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        self._asked[reply_to.id] = answer
        try:
            async with asyncio.timeout(within):
                await self.tell(
                    transport, node, key, msgspec.structs.replace(message, reply_to=reply_to)
                )
                acknowledged = await answer
        except TimeoutError:
            raise ServiceUnavailable(f"the node {node} did not answer; try again") from None
        finally:
            del self._asked[reply_to.id]
        if acknowledged.error is not None:
            error = acknowledged.error
            raise from_wire(error.error, error.message, error.details)
        return acknowledged

    async def acknowledge(
        self,
        reply_to: ReplyTo | None,
        error: WireError | None = None,
        *,
        missed: list[Delivery] | None = None,
    ) -> None:
        """Answer whoever asked, if somebody did: it is done, or why it cannot be."""
        if reply_to is None:
            return
        told = None if error is None else OperationError(error.name, error.message, error.details)
        answer = Acknowledged(reply_to.id, told, missed)
        await self.tell(self.home, reply_to.node, reply_to.id, answer)

    def settle(self, acknowledged: Acknowledged) -> None:
        """Take in another node's answer; one that comes too late is nobody's."""
        answer = self._asked.get(acknowledged.id)
        if answer is not None and not answer.done():
            answer.set_result(acknowledged)
