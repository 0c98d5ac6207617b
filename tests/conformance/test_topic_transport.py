"""A transport with topics, packet numbers and windows that its clients choose passes the kit."""

import asyncio

import pytest
from topic_transport import TopicTransport
from transport_peers import TopicPeer

from nexxus.interfaces.transport import Transport
from nexxus.testing.transport_host import KitHost
from nexxus.testing.transport_kit import Peer, TransportConformance, next_event


class TestTopicTransport(TransportConformance):
    chooses_window = True

    @pytest.fixture
    def transport(self) -> TopicTransport:
        return TopicTransport()

    async def connect(self, transport: Transport, host: KitHost) -> Peer:
        port = transport.port  # type: ignore[attr-defined]
        return TopicPeer(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    async def test_each_event_comes_under_its_channels_and_each_packet_has_its_number(
        self, transport: Transport, host: KitHost
    ) -> None:
        both = await self._subscribed(transport, host, "d1", "c1", "c2")
        one = await self._subscribed(transport, host, "d2", "c2")
        assert isinstance(both, TopicPeer)
        assert isinstance(one, TopicPeer)

        host.push(1, "c1")
        host.push(2, "c1", "c2")
        host.push(3, "c2")
        for _ in range(3):
            await next_event(both)
        for _ in range(2):
            await next_event(one)

        assert both.topics == ["$register", "c1", "c1", "c2", "c2"]
        assert one.topics == ["$register", "c2", "c2"]
        assert both.numbers == [1, 2, 3, 4, 5]
        assert one.numbers == [1, 2, 3]
