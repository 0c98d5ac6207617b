"""A client of server-sent events, as the HTML standard has it, over a bare socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

PATIENCE = 20.0
_RECEIVE_BUFFER = 1 << 18


class Event(NamedTuple):
    """An event: its name, its data, and the id that was the last one then."""

    name: str
    data: Any
    id: str


class Refused(Exception):
    """The server did not answer with a stream."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.headers = headers
        self.body = json.loads(body) if body else None


class EventSource:
    """One stream. `comments` counts what showed life, `retry` is what the server asked for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.headers: dict[str, str] = {}
        self.last_event_id = ""
        self.comments = 0
        self.retry: int | None = None

    @classmethod
    async def open(
        cls,
        port: int,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        path: str = "/sse",
        host: str = "127.0.0.1",
    ) -> EventSource:
        """Open a stream; raises `Refused`."""
        async with asyncio.timeout(PATIENCE):
            self = cls(
                *await asyncio.open_connection(sock=await _connect(host, port), limit=1 << 22)
            )
            try:
                await self._ask(path, query or {}, headers or {})
            except BaseException:
                self.vanish()
                raise
        return self

    async def next(self) -> Event:
        """The next event; raises ConnectionError at the end."""
        async with asyncio.timeout(PATIENCE):
            return await anext(self._events)

    async def until(self, name: str) -> Event:
        """The next event of that name; those before it are dropped."""
        while (event := await self.next()).name != name:
            pass
        return event

    async def next_forever(self) -> None:
        """Read on, and drop what comes."""
        async for _ in self._events:
            pass

    async def ended(self) -> None:
        """Wait until the server has ended the stream."""
        try:
            while True:
                await self.next()
        except (ConnectionError, asyncio.IncompleteReadError):
            return

    def stop_reading(self) -> None:
        """Take nothing more from the network."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def vanish(self) -> None:
        """Be gone without a word."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return

    async def _ask(self, path: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        lines = [
            f"GET {target} HTTP/1.1",
            "Host: localhost",
            "Accept: text/event-stream",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        status = int(head[0].split()[1])
        for line in head[1:]:
            name, _, value = line.partition(":")
            if name:
                self.headers[name.lower()] = value.strip()
        is_stream = self.headers.get("content-type", "").startswith("text/event-stream")
        if status != 200 or not is_stream:
            size = int(self.headers.get("content-length", "0"))
            body = await self._reader.readexactly(size)
            await self.close()
            raise Refused(status, self.headers, body)
        is_chunked = self.headers.get("transfer-encoding") == "chunked"
        self._events = self._parse(self._chunks() if is_chunked else self._pieces())

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await self._reader.read(1 << 16):
            yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self._reader.readline(), 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)

    async def _parse(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[Event]:
        """What the standard's "interpreting an event stream" makes of it."""
        rest = b""
        name, data, last_id = "", "", ""
        async for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in map(bytes.decode, lines):
                if not line:
                    self.last_event_id = last_id
                    if data:
                        yield Event(name or "message", json.loads(data), last_id)
                    name, data = "", ""
                    continue
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not field:
                    self.comments += 1
                elif field == "event":
                    name = value
                elif field == "data":
                    data += f"{value}\n"
                elif field == "id":
                    last_id = value
                elif field == "retry":
                    self.retry = int(value)
        raise ConnectionError("the stream has ended")


async def _connect(host: str, port: int) -> socket.socket:
    """Connect with a receive buffer that the kernel does not grow, however fast the server is."""
    connected = socket.socket()
    connected.setblocking(False)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    await asyncio.get_running_loop().sock_connect(connected, (host, port))
    return connected
