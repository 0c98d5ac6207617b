"""The queues of nodes, which are there as long as the node is."""

from __future__ import annotations

from uuid import uuid4

from nexxus.cluster.messages import SubscriptionChanged
from nexxus.interfaces.broker import Broker, QueueKind, node_queue
from nexxus.testing.broker_kit.materials import node_message, take


class NodesConformance:
    """Node queues."""

    async def test_a_node_takes_what_is_published_to_its_queue(self, broker: Broker) -> None:
        queue = node_queue("websockets", uuid4().hex)
        consumer = await broker.consume(queue)
        await broker.publish(queue, [node_message("d1"), node_message("d2")])
        received = await take(consumer, 2)
        assert [message.payload for message in received] == [
            SubscriptionChanged("kit", "d1"),
            SubscriptionChanged("kit", "d2"),
        ]

    async def test_messages_to_a_node_that_is_not_there_vanish(self, broker: Broker) -> None:
        queue = node_queue("websockets", uuid4().hex)
        assert queue.kind is QueueKind.NODE
        await broker.publish(queue, [node_message("lost")])
        consumer = await broker.consume(queue)
        await broker.publish(queue, [node_message("found")])
        [received] = await take(consumer, 1)
        assert received.key == "found"

    async def test_publishing_to_a_node_that_has_gone_is_fine(self, broker: Broker) -> None:
        queue = node_queue("websockets", uuid4().hex)
        consumer = await broker.consume(queue)
        await consumer.close()
        await broker.publish(queue, [node_message("lost")])
