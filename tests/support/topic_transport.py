"""A transport with topics and packets of its own, as MQTT has: what the interface must allow for.

A line for each packet. The client sends ``CONNECT <token> <seconds> [cursor]``, ``KEEP <seconds>``
and ``REQUEST <ref> <event> <json>``; it gets ``<number> <topic> <cursor> <json>``, the number its
own for each connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from nexxus.errors import WireError
from nexxus.interfaces.transport import (
    CloseCode,
    DeviceConnection,
    Framing,
    ServerFrame,
    Transport,
    TransportHost,
    Wire,
)


class Publication(bytes):
    """The data of a frame, and where it goes: the same object for every connection."""

    topics: tuple[str, ...]
    cursor: str


class TopicFraming(Framing):
    """Numbers differ between connections, so that packets cannot be made, or joined, before."""

    joins = False

    def frame(self, frame: ServerFrame) -> bytes:
        publication = Publication(frame.data)
        publication.topics = frame.channels or (f"${frame.event}",)
        publication.cursor = frame.cursor or "-"
        return publication


FRAMING = TopicFraming()


class TopicTransport(Transport):
    """Listens on a port of its own, `port` once it is started."""

    port = 0

    async def start(self, host: TransportHost) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: TopicWire(host), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()


class TopicWire(asyncio.Protocol, Wire):
    """One connection."""

    def __init__(self, host: TransportHost) -> None:
        self._host = host
        self._rest = b""
        self._number = 0
        self._socket: asyncio.Transport
        self._connection: DeviceConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport  # type: ignore[assignment]
        if not self._host.is_accepting:
            self._socket.close()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._connection.lost()

    def _take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "CONNECT":
            token, seconds, *cursor = rest.split()
            window = None if seconds == "-" else float(seconds)
            self._connection = self._host.accept(self, FRAMING, resume_window=window)
            self._start(self._connect(self._connection, token.replace("_", " "), cursor))
        elif word == "KEEP" and self._connection is not None:
            self._connection.resume_window = float(rest)
            self._say("$kept", {})
        elif word == "REQUEST" and self._connection is not None:
            ref, event, text = rest.split(" ", 2)
            self._start(self._request(self._connection, ref, event, msgspec.json.decode(text)))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: DeviceConnection, token: str, cursor: list[str]) -> None:
        try:
            await connection.request("register", {"token": token})
            for given in cursor:
                await connection.request("resume", {"cursor": given})
        except WireError as error:
            self._say("$refused", error.to_wire())

    async def _request(self, connection: DeviceConnection, ref: str, event: str, data: Any) -> None:
        try:
            status, answer = await connection.request(event, data)
        except WireError as error:
            status, answer = error.status, error.to_wire()
        self._say("$answer", {"ref": ref, "status": status, "data": answer})

    def _say(self, topic: str, data: Any) -> None:
        said = Publication(msgspec.json.encode(data))
        said.topics, said.cursor = (topic,), "-"
        self.write(said)

    def write(self, frames: bytes) -> bool:
        assert isinstance(frames, Publication)
        if self._socket.get_write_buffer_size() > self._host.limits.send_buffer:
            return False
        for topic in frames.topics:
            self._number += 1
            self._socket.write(
                b"%d %b %b %b\n" % (self._number, topic.encode(), frames.cursor.encode(), frames)
            )
        return True

    def close(self, code: int, reason: str) -> None:
        if code != CloseCode.SLOW_CONSUMER:
            self._say("$close", {"code": code, "reason": reason})
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()
