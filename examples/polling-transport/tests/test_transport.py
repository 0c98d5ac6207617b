"""The transport keeps what every transport promises."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest

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


class PollingPeer(Peer):
    """A client, as a device would have it; a task of its own asks for what comes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx2.AsyncClient(trust_env=False, timeout=20)
        self._connection: dict[str, str] = {}
        self._close_code: int | None = None
        self._registered: asyncio.Queue[Any] = asyncio.Queue()
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._replies: dict[str, asyncio.Future[Any]] = {}
        self._refs = map(str, itertools.count())
        self._unsent: list[bytes] = []
        self._sending = asyncio.Lock()
        self._reads = True
        self._polling: asyncio.Task[None] | None = None

    async def register(self, token: str, cursor: str | None = None) -> None:
        self._http.headers |= {"nxx-app-id": "kit", "authorization": f"Bearer {token}"}
        resumes = {} if cursor is None else {"cursor": cursor}
        answer = await self._http.post(self._url, params=resumes)
        if answer.status_code != 200:
            raise PeerRefused(answer.json()["error"])
        self._connection = answer.json()
        self._polling = asyncio.create_task(self._poll())
        if await self._registered.get() is None:
            raise ConnectionError("closed")

    async def request(self, event: str, data: dict[str, Any]) -> tuple[int, Any]:
        ref = next(self._refs)
        answer = self._replies[ref] = asyncio.get_running_loop().create_future()
        self._unsent.append(msgspec.json.encode({"event": event, "ref": ref, "data": data}))
        async with self._sending:  # whoever comes first sends for the others
            frames, self._unsent = self._unsent, []
            if frames:
                await self._http.post(
                    f"{self._url}/frames", params=self._connection, content=b"\n".join(frames)
                )
        reply = await answer
        return reply["status"], reply.get("data", reply.get("error"))

    async def next(self) -> tuple[str, Any]:
        frame = await self._events.get()
        if frame is None:
            raise ConnectionError("closed")
        return frame["event"], frame["data"]

    async def closed(self) -> int | None:
        assert self._polling is not None
        await asyncio.shield(self._polling)
        return self._close_code

    async def leave(self) -> None:
        await self._http.delete(self._url, params=self._connection)

    def vanish(self) -> None:
        assert self._polling is not None
        self._polling.cancel()

    def stop_reading(self) -> None:
        self._reads = False

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await self._http.aclose()

    async def _poll(self) -> None:
        try:
            while self._reads and self._close_code is None:
                answer = await self._http.get(f"{self._url}/events", params=self._connection)
                if answer.status_code != 200:
                    break
                for frame in answer.json():
                    self._take(frame)
        except httpx2.TransportError:
            pass  # the server has gone
        finally:
            self._registered.put_nowait(None)
            self._events.put_nowait(None)

    def _take(self, frame: dict[str, Any]) -> None:
        event, data = frame["event"], frame["data"]
        if event == "close":
            self._close_code = data["code"]
            return
        self.cursor = data.get("metadata", data).get("cursor", self.cursor)
        if event == "reply":
            self._replies.pop(frame["ref"]).set_result(data)
        elif event == "register":
            self._registered.put_nowait(frame)
        else:
            self._events.put_nowait(frame)
