"""The WebSocket over ASGI, for an application mounted in another server."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive, Send

from nexxus.api.mounts.send_queue import SendQueue
from nexxus.interfaces.mounts import WebSocket, WebSocketListener
from nexxus.interfaces.transport import CloseCode, TransportLimits
from nexxus.toolkit.web_socket_frames import split_messages


class AsgiWebSocket(WebSocket):
    """A WebSocket that sends ASGI messages; the server implements the protocol.

    The server also detects dead peers, so there are no pings.
    """

    wants_pings = False
    answers_pings = False

    def __init__(self, limits: TransportLimits) -> None:
        self._limits = limits
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._queue = SendQueue(limits.send_buffer)
        self._closing: Message | None = None
        self._is_aborted = False
        self._sender: asyncio.Task[None] | None = None

    async def run(self, listener: WebSocketListener, receive: Receive, send: Send) -> None:
        """Read and write until the peer disconnects or the connection is closed."""
        try:
            if self._is_aborted:
                return
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(listener, receive))
                self._sender = group.create_task(self._send_all(send))
                # Whichever ends first ends the other.
                await asyncio.wait((reader, self._sender), return_when=asyncio.FIRST_COMPLETED)
                reader.cancel()
                self._sender.cancel()
        finally:
            listener.lost()

    def write(self, frames: bytes) -> bool:
        """See `Wire.write`."""
        return self._queue.put(frames)

    def close(self, code: int, reason: str) -> None:
        """See `Wire.close`."""
        if self._closing is None:
            self._closing = {"type": "websocket.close", "code": int(code), "reason": reason}
            self._queue.end()

    def abort(self) -> None:
        """See `Wire.abort`."""
        self._is_aborted = True
        # The server may wait long for the peer to accept what was sent last.
        if self._sender is not None:
            self._sender.cancel()

    def pause_reading(self) -> None:
        """See `Wire.pause_reading`."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """See `Wire.resume_reading`."""
        self._may_read.set()

    async def _read(self, listener: WebSocketListener, receive: Receive) -> None:
        limit = self._limits.frame
        while True:
            await self._may_read.wait()
            message = await receive()
            listener.heard()
            if message["type"] == "websocket.disconnect":
                listener.closed_by_peer()
                return
            text = message.get("text")
            payload = message.get("bytes") or b"" if text is None else text.encode()
            if self._closing is not None:
                continue
            if len(payload) > limit:
                self.close(CloseCode.TOO_BIG, f"over {limit} bytes")
                listener.closed_by_peer()
            else:
                listener.received(payload, is_text=text is not None)

    async def _send_all(self, send: Send) -> None:
        # Servers report a lost peer as an `OSError`, which is expected here.
        with suppress(OSError):
            async for messages in self._queue:
                await _send_each(messages, send)
            if self._closing is not None:
                await send(self._closing)


async def _send_each(messages: bytes, send: Send) -> None:
    for payload, is_text in split_messages(messages):
        if is_text:
            await send({"type": "websocket.send", "text": str(payload, "utf-8")})
        else:
            await send({"type": "websocket.send", "bytes": bytes(payload)})
