"""Peers: sends messages to other nodes, and waits for their answers if needed."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeVar

import msgspec

from nexxus.cluster.messages import (
    Acknowledged,
    ApplicationChanged,
    Delivery,
    HandoverAsked,
    ReplyTo,
    SubscriptionChanged,
    node_mailbox,
)
from nexxus.domain.objects import new_id
from nexxus.domain.operations import OperationError
from nexxus.errors import ServiceUnavailable, WireError, from_wire
from nexxus.interfaces.broker import Broker, Mailbox

T = TypeVar("T")

ANSWER_WITHIN: Final = 5.0
"""Seconds within which a node must acknowledge a request."""


class Peers:
    """Sends messages to the mailboxes of nodes; answers come to this node's own mailbox.

    `here` is this node's id.
    """

    def __init__(self, broker: Broker, *, here: str) -> None:
        self._broker = broker
        self.here = here
        self._asked: dict[str, asyncio.Future[Acknowledged]] = {}

    async def send(self, mailbox: Mailbox[T], message: T) -> None:
        """Put a message into a mailbox. Messages of one task arrive in order."""
        await self._broker.send(mailbox, [message])

    async def ask(
        self,
        mailbox: Mailbox[Any],
        message: SubscriptionChanged | ApplicationChanged | HandoverAsked,
        *,
        within: float = ANSWER_WITHIN,
    ) -> Acknowledged:
        """Send a message and return the answer, which comes when the request was carried out.

        Raises the `WireError` of the other node, and `ServiceUnavailable` if it does not answer
        within that many seconds; the request may then have been carried out or not.
        """
        reply_to = ReplyTo(self.here, new_id())
        answer: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        self._asked[reply_to.id] = answer
        asked = msgspec.structs.replace(message, reply_to=reply_to)
        try:
            async with asyncio.timeout(within):
                await self.send(mailbox, asked)
                acknowledged = await answer
        except TimeoutError:
            raise ServiceUnavailable(f"{mailbox.name} did not answer; try again") from None
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
        """Answer the node that asked, if one did: done, or the error."""
        if reply_to is None:
            return
        told = None if error is None else OperationError(error.name, error.message, error.details)
        await self.send(node_mailbox(reply_to.node), Acknowledged(reply_to.id, told, missed))

    def settle(self, acknowledged: Acknowledged) -> None:
        """Pass an answer on to its caller; one that comes too late is ignored."""
        answer = self._asked.get(acknowledged.id)
        if answer is not None and not answer.done():
            answer.set_result(acknowledged)
