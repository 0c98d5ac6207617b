"""Peers for the transport kit: what clients of our transports are."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from event_source import Event, EventSource, Refused
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from nexxus.testing.frame_peer import FramePeer
from nexxus.testing.transport_kit import Peer, PeerRefused
from nexxus.testing.transport_tokens import APP

_ENDED = object()


class WebSocketPeer(FramePeer):
    """A peer over a WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        super().__init__()

    async def send(self, frame: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(frame))

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        try:
            async for message in self._socket:
                yield json.loads(message)
        except ConnectionClosed:
            pass
        self.close_code = self._socket.close_code

    async def leave(self) -> None:
        await self._socket.close()

    def vanish(self) -> None:
        self._socket.transport.abort()

    def stop_reading(self) -> None:
        super().stop_reading()
        self._socket.transport.pause_reading()


class SsePeer(Peer):
    """A peer that follows server-sent events, and says what it wants when it connects."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._source: EventSource | None = None
        self._close_code: int | None = None

    async def register(self, token: str, cursor: str | None = None) -> None:
        headers = {"nxx-app-id": APP, "Authorization": f"Bearer {token}"}
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        try:
            self._source = await EventSource.open(self._port, headers=headers)
        except Refused as refused:
            raise PeerRefused(refused.body["error"]) from refused
        assert (await self._next()).name == "register"

    async def next(self) -> tuple[str, Any]:
        event = await self._next()
        return event.name, event.data

    async def _next(self) -> Event:
        assert self._source is not None
        event = await self._source.next()
        if event.name == "close":
            self._close_code = event.data["code"]
            raise ConnectionError("closed")
        self.cursor = event.id
        return event

    async def closed(self) -> int | None:
        try:
            while True:
                await self._next()
        except ConnectionError:
            return self._close_code

    async def leave(self) -> None:
        assert self._source is not None
        await self._source.close()

    def vanish(self) -> None:
        assert self._source is not None
        self._source.vanish()

    def stop_reading(self) -> None:
        assert self._source is not None
        self._source.stop_reading()


class TopicPeer(Peer):
    """A peer of `topic_transport`. An event for several topics comes once for each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._from_server, self._to_server = reader, writer
        self._refs = map(str, itertools.count())
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._said: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._close_code: int | None = None
        self.numbers: list[int] = []
        self.topics: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def register(self, token: str, cursor: str | None = None) -> None:
        words = ["CONNECT", token.replace(" ", "_"), "-", *([cursor] if cursor else [])]
        self._send(" ".join(words))
        topic, data = await self._said.get()
        if topic == "$refused":
            raise PeerRefused(data["error"])
        if topic != "$register":
            raise ConnectionError(topic)

    async def keep_for(self, seconds: float) -> None:
        self._send(f"KEEP {seconds}")
        assert (await self._said.get())[0] == "$kept"

    async def request(self, event: str, data: dict[str, Any]) -> tuple[int, Any]:
        ref = next(self._refs)
        answer = self._answers[ref] = asyncio.get_running_loop().create_future()
        self._send(f"REQUEST {ref} {event} {json.dumps(data)}")
        said = await answer
        return said["status"], said["data"]

    async def next(self) -> tuple[str, Any]:
        event = await self._events.get()
        if event is _ENDED:
            raise ConnectionError("closed")
        return event  # type: ignore[no-any-return]

    async def closed(self) -> int | None:
        await asyncio.shield(self._reader)
        return self._close_code

    async def leave(self) -> None:
        self._to_server.close()
        await self._to_server.wait_closed()

    def vanish(self) -> None:
        self._to_server.transport.abort()

    def stop_reading(self) -> None:
        self._reader.cancel()
        self._to_server.transport.pause_reading()  # type: ignore[attr-defined]

    def _send(self, line: str) -> None:
        self._to_server.write(f"{line}\n".encode())

    async def _read(self) -> None:
        former = b""
        try:
            while line := await self._from_server.readline():
                number, topic, cursor, payload = line.rstrip(b"\n").split(b" ", 3)
                self.numbers.append(int(number))
                self.topics.append(topic.decode())
                if cursor != b"-":
                    self.cursor = cursor.decode()
                if payload != former:
                    self._take(topic.decode(), json.loads(payload))
                former = payload
        except ConnectionError:
            pass
        finally:
            self._said.put_nowait(("$end", None))
            self._events.put_nowait(_ENDED)

    def _take(self, topic: str, data: Any) -> None:
        if topic == "$close":
            self._close_code = data["code"]
        elif topic == "$answer":
            self._answers.pop(data["ref"]).set_result(data)
        elif topic in ("$register", "$refused", "$kept"):
            self._said.put_nowait((topic, data))
        elif topic.startswith("$"):
            self._events.put_nowait((topic[1:], data))
        elif "channels" in data:
            self._events.put_nowait(("resync", data))
        else:
            self._events.put_nowait((data["event"], data))
