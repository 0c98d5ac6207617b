"""A peer for the transport kit whose protocol carries the frames of docs/websocket.md."""

from __future__ import annotations

import asyncio
import itertools
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from nexxus.testing.transport_kit import Peer, PeerRefused

_ENDED = object()


class FramePeer(Peer):
    """A peer that sends and receives frames: ``{"event": …, "ref": …, "data": …}``.

    A subclass says how a frame is sent (`send`), how frames are received (`frames`), and how the
    connection ends (`leave`, `vanish`). It calls ``super().__init__()`` when `frames` can be
    called, because the constructor starts the task that reads. Its `stop_reading` should also make
    the operating system stop reading, if the protocol has a socket.

    `close_code` is the one that a ``close`` frame brought. A subclass whose protocol has its own
    close codes sets it before `frames` ends.
    """

    def __init__(self) -> None:
        self.close_code: int | None = None
        self._registered: asyncio.Queue[Any] = asyncio.Queue()
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._replies: dict[str, asyncio.Future[Any]] = {}
        self._refs = map(str, itertools.count())
        self._reader = asyncio.create_task(self._read())

    @abstractmethod
    async def send(self, frame: dict[str, Any]) -> None:
        """Send a frame to the server."""

    @abstractmethod
    def frames(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the frames that the server sends, until the connection ends."""

    async def register(self, token: str, cursor: str | None = None) -> None:
        """See `Peer.register`."""
        await self.send({"event": "register", "data": {"token": token}})
        await self.registered()
        if cursor is not None:
            await self.send({"event": "resume", "data": {"cursor": cursor}})

    async def registered(self) -> None:
        """Wait for the server's ``register`` frame.

        Raises `PeerRefused` for an ``error`` frame, `ConnectionError` if the connection ends.
        """
        frame = await self._registered.get()
        if frame is _ENDED:
            raise ConnectionError("closed")
        if frame["event"] == "error":
            raise PeerRefused(frame["data"]["code"])

    async def request(self, event: str, data: dict[str, Any]) -> tuple[int, Any]:
        """See `Peer.request`."""
        ref = next(self._refs)
        answer = self._replies[ref] = asyncio.get_running_loop().create_future()
        await self.send({"event": event, "ref": ref, "data": data})
        reply = await answer
        return reply["status"], reply.get("data", reply.get("error"))

    async def next(self) -> tuple[str, Any]:
        """See `Peer.next`."""
        frame = await self._events.get()
        if frame is _ENDED:
            raise ConnectionError("closed")
        return frame["event"], frame["data"]

    async def closed(self) -> int | None:
        """See `Peer.closed`."""
        await asyncio.shield(self._reader)
        return self.close_code

    def stop_reading(self) -> None:
        """See `Peer.stop_reading`."""
        self._reader.cancel()

    async def _read(self) -> None:
        try:
            async for frame in self.frames():
                self._take(frame)
        finally:
            self._registered.put_nowait(_ENDED)
            self._events.put_nowait(_ENDED)

    def _take(self, frame: dict[str, Any]) -> None:
        event, data = frame["event"], frame["data"]
        if event == "close":
            self.close_code = data["code"]
            return
        self.cursor = data.get("metadata", data).get("cursor", self.cursor)
        if event == "reply":
            self._replies.pop(frame["ref"]).set_result(data)
        elif event in ("register", "error"):
            self._registered.put_nowait(frame)
        else:
            self._events.put_nowait(frame)
