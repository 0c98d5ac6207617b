"""The transport keeps what every transport promises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from nexxus.testing.frame_peer import FramePeer
from nexxus.testing.transport_kit import Peer, TransportConformance
from nexxus_lines.settings import LineSettings
from nexxus_lines.transport import LineTransport


class TestLineTransport(TransportConformance):
    @pytest.fixture
    def transport(self) -> LineTransport:
        return LineTransport(LineSettings(port=0))

    async def connect(self, transport: Any, host: Any) -> Peer:
        port, limit = transport.port, 1 << 20
        return LinePeer(*await asyncio.open_connection("127.0.0.1", port, limit=limit))


class LinePeer(FramePeer):
    """A client, as a device would have it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._from_server, self._to_server = reader, writer
        super().__init__()

    async def send(self, frame: dict[str, Any]) -> None:
        self._to_server.write(json.dumps(frame).encode() + b"\n")

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        with suppress(ConnectionError):
            while line := await self._from_server.readline():
                yield json.loads(line)

    async def leave(self) -> None:
        self._to_server.close()
        await self._to_server.wait_closed()

    def vanish(self) -> None:
        self._to_server.transport.abort()

    def stop_reading(self) -> None:
        super().stop_reading()
        self._to_server.transport.pause_reading()  # type: ignore[attr-defined]
