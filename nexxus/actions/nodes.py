"""Telling a node something, through its own queue."""

from __future__ import annotations

from nexxus.domain.events import NodeMessage
from nexxus.interfaces.broker import Broker, Message, node_queue


async def tell_node(
    broker: Broker, transport: str, node: str, key: str, message: NodeMessage
) -> None:
    """Put a message into a node's queue; messages of one `key` arrive in their order."""
    await broker.publish(node_queue(transport, node), [Message[NodeMessage](key, message)])
