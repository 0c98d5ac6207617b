"""The example of a transport keeps what every transport promises."""

import asyncio
from pathlib import Path

import pytest
from transport_peers import LinePeer

from nexxus.interfaces.transport import Transport
from nexxus.testing.transport_host import KitHost
from nexxus.testing.transport_kit import Peer, TransportConformance

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "line-transport"


class TestLineTransport(TransportConformance):
    @pytest.fixture
    def transport(self, monkeypatch: pytest.MonkeyPatch) -> Transport:
        monkeypatch.syspath_prepend(EXAMPLE)
        from nexxus_lines.settings import LineSettings
        from nexxus_lines.transport import LineTransport

        return LineTransport(LineSettings(port=0))

    async def connect(self, transport: Transport, host: KitHost) -> Peer:
        port = transport.port  # type: ignore[attr-defined]
        return LinePeer(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
