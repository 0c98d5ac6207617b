"""Streams: endless responses, on Nexxus's own connections or through another server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from starlette.types import Receive, Send

from nexxus.api.mounts.send_queue import SendQueue
from nexxus.interfaces.http_connection import Heir
from nexxus.interfaces.mounts import Stream
from nexxus.interfaces.transport import TransportLimits

_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)


class RawStream(Heir, Stream):
    """A stream written directly to the socket; it ends with the connection.

    Data from the client is read and discarded. If the platform supports it, the kernel drops a
    client that acknowledges nothing for `TransportLimits.silence`.
    """

    __slots__ = ("_limits", "_lost")

    def __init__(self, limits: TransportLimits, lost: Callable[[], None]) -> None:
        self._limits = limits
        self._lost = lost

    def take(self, transport: asyncio.BaseTransport, connections: set[Any]) -> None:
        """See `Heir.take`."""
        super().take(transport, connections)
        raw = transport.get_extra_info("socket")
        if raw is not None and _USER_TIMEOUT is not None:
            with suppress(OSError):
                milliseconds = int(self._limits.silence * 1000)
                raw.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        super().connection_lost(exc)
        self._lost()

    def write(self, data: bytes) -> bool:
        """See `Stream.write`."""
        transport = self.transport
        if transport.get_write_buffer_size() > self._limits.send_buffer:
            return False
        transport.write(data)
        return True

    def end(self, last: bytes = b"") -> None:
        """See `Stream.end`."""
        if last:
            self.transport.write(last)
        self.transport.close()

    def abort(self) -> None:
        """See `Stream.abort`."""
        self.transport.abort()


class AsgiStream(Stream):
    """A stream that sends ASGI messages."""

    def __init__(self, limits: TransportLimits, lost: Callable[[], None]) -> None:
        self._lost = lost
        self._queue = SendQueue(limits.send_buffer)
        self._running: asyncio.Task[None] | None = None
        self._is_aborted = False

    async def run(self, receive: Receive, send: Send) -> None:
        """Send written data until the stream ends or the client disconnects."""
        try:
            if self._is_aborted:
                return
            async with asyncio.TaskGroup() as group:
                self._running = group.create_task(self._send_all(send))
                leaving = group.create_task(_until_gone(receive))
                await asyncio.wait((self._running, leaving), return_when=asyncio.FIRST_COMPLETED)
                self._running.cancel()
                leaving.cancel()
        finally:
            self._lost()

    def write(self, data: bytes) -> bool:
        """See `Stream.write`."""
        return self._queue.put(data)

    def end(self, last: bytes = b"") -> None:
        """See `Stream.end`."""
        self._queue.end(last)

    def abort(self) -> None:
        """See `Stream.abort`."""
        self._is_aborted = True
        # The server may wait long for the client to accept what was sent last.
        if self._running is not None:
            self._running.cancel()

    async def _send_all(self, send: Send) -> None:
        # Servers report a lost client as an `OSError`, which is expected here.
        with suppress(OSError):
            async for data in self._queue:
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
