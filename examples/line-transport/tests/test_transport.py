"""The transport keeps what every transport promises."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from nexxus.testing.transport_kit import Peer, PeerRefused, TransportConformance
from nexxus_lines.settings import LineSettings
from nexxus_lines.transport import LineTransport


class TestLineTransport(TransportConformance):
    @pytest.fixture
    def transport(self) -> LineTransport:
        return LineTransport(LineSettings(port=0))

    async def connect(self, transport: Any, host: Any) -> Peer:
        port, limit = transport.port, 1 << 20
        return LinePeer(*await asyncio.open_connection("127.0.0.1", port, limit=limit))


class LinePeer(Peer):
    """A client, as a device would have it; a task of its own reads what comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._from_server, self._to_server = reader, writer
        self._close_code: int | None = None
        self._registered: asyncio.Queue[Any] = asyncio.Queue()
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._replies: dict[str, asyncio.Future[Any]] = {}
        self._refs = map(str, itertools.count())
        self._reading = asyncio.create_task(self._read())

    async def register(self, token: str, cursor: str | None = None) -> None:
        self._send({"event": "register", "data": {"token": token}})
        frame = await self._registered.get()
        if frame is None:
            raise ConnectionError("closed")
        if frame["event"] == "error":
            raise PeerRefused(frame["data"]["code"])
        if cursor is not None:
            self._send({"event": "resume", "data": {"cursor": cursor}})

    async def request(self, event: str, data: dict[str, Any]) -> tuple[int, Any]:
        ref = next(self._refs)
        answer = self._replies[ref] = asyncio.get_running_loop().create_future()
        self._send({"event": event, "ref": ref, "data": data})
        reply = await answer
        return reply["status"], reply.get("data", reply.get("error"))

    async def next(self) -> tuple[str, Any]:
        frame = await self._events.get()
        if frame is None:
            raise ConnectionError("closed")
        return frame["event"], frame["data"]

    async def closed(self) -> int | None:
        await asyncio.shield(self._reading)
        return self._close_code

    async def leave(self) -> None:
        self._to_server.close()
        await self._to_server.wait_closed()

    def vanish(self) -> None:
        self._to_server.transport.abort()

    def stop_reading(self) -> None:
        self._reading.cancel()
        self._to_server.transport.pause_reading()  # type: ignore[attr-defined]

    def _send(self, frame: dict[str, Any]) -> None:
        self._to_server.write(json.dumps(frame).encode() + b"\n")

    async def _read(self) -> None:
        try:
            while line := await self._from_server.readline():
                self._take(json.loads(line))
        except ConnectionError:
            pass
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
        elif event in ("register", "error"):
            self._registered.put_nowait(frame)
        else:
            self._events.put_nowait(frame)
