"""The SSE transport keeps what every transport promises, on our ports and in ASGI servers."""

from typing import ClassVar

import pytest
from transport_peers import SsePeer

from nexxus.adapters.sse.settings import SseSettings
from nexxus.adapters.sse.transport import SseTransport
from nexxus.interfaces.transport import Transport
from nexxus.testing.transport_host import KitHost
from nexxus.testing.transport_kit import Peer, TransportConformance
from nexxus.testing.transport_port import Server


class TestSseTransport(TransportConformance):
    """On a connection of our own server."""

    sends_requests = False

    @pytest.fixture
    def transport(self) -> SseTransport:
        return SseTransport(SseSettings())

    async def connect(self, transport: Transport, host: KitHost) -> Peer:
        return SsePeer(host.port)


class TestSseTransportOverAsgi(TestSseTransport):
    """In a server that only knows ASGI."""

    server: ClassVar[Server] = "asgi"
