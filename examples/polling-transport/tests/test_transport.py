"""The transport keeps what every transport promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx2
import msgspec
import pytest

from nexxus.testing.frame_peer import FramePeer
from nexxus.testing.transport_kit import Peer, PeerRefused, TransportConformance
from nexxus_polling.settings import PollingSettings
from nexxus_polling.transport import PollingTransport


class TestPollingTransport(TransportConformance):
    @pytest.fixture
    def transport(self) -> PollingTransport:
        return PollingTransport(PollingSettings(wait=0.5, patience=1.5))

    @pytest.fixture(autouse=True)
    async def clients(self) -> AsyncIterator[None]:
        self.peers: list[PollingPeer] = []
        yield
        for peer in self.peers:
            await peer.close()

    async def connect(self, transport: Any, host: Any) -> Peer:
        peer = PollingPeer(f"http://127.0.0.1:{host.port}/polling")
        self.peers.append(peer)
        return peer


class TestPollingTransportOnAsgi(TestPollingTransport):
    server = "asgi"


class PollingPeer(FramePeer):
    """A client, as a device would have it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx2.AsyncClient(trust_env=False, timeout=20)
        self._connection: dict[str, str] = {}
        self._is_open = asyncio.Event()
        self._unsent: list[bytes] = []
        self._sending = asyncio.Lock()
        self._reads = True
        super().__init__()

    async def register(self, token: str, cursor: str | None = None) -> None:
        self._http.headers |= {"nxx-app-id": "kit", "authorization": f"Bearer {token}"}
        resumes = {} if cursor is None else {"cursor": cursor}
        answer = await self._http.post(self._url, params=resumes)
        if answer.status_code != 200:
            raise PeerRefused(answer.json()["error"])
        self._connection = answer.json()
        self._is_open.set()
        await self.registered()

    async def send(self, frame: dict[str, Any]) -> None:
        self._unsent.append(msgspec.json.encode(frame))
        async with self._sending:  # whoever comes first sends for the others
            frames, self._unsent = self._unsent, []
            if frames:
                await self._http.post(
                    f"{self._url}/frames", params=self._connection, content=b"\n".join(frames)
                )

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        await self._is_open.wait()
        with suppress(httpx2.TransportError):  # the server has gone
            while self._reads and self.close_code is None:
                answer = await self._http.get(f"{self._url}/events", params=self._connection)
                if answer.status_code != 200:
                    break
                for frame in answer.json():
                    yield frame

    async def leave(self) -> None:
        await self._http.delete(self._url, params=self._connection)

    def vanish(self) -> None:
        super().stop_reading()

    def stop_reading(self) -> None:
        self._reads = False

    async def close(self) -> None:
        self.vanish()
        await self._http.aclose()
