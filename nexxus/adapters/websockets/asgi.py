"""The WebSocket over ASGI, for an application that is mounted in somebody else's server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from nexxus.adapters.websockets.framing import choose_subprotocol, framing_of, payload_of
from nexxus.adapters.websockets.handshake import is_path
from nexxus.adapters.websockets.messages import pass_on
from nexxus.interfaces.transport import (
    AsgiMessage,
    AsgiReceive,
    AsgiSend,
    CloseCode,
    DeviceConnection,
    Encoding,
    Framing,
    TransportHost,
    Wire,
)

_LATER: Final = 1013


class WebSocketApp:
    """An ASGI application for the scope ``websocket``, at `path` below where it is mounted."""

    def __init__(self, host: TransportHost, path: str) -> None:
        self._host = host
        self._path = path

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        """Serve one connection until it ends. Another path is refused before it is opened."""
        await receive()  # websocket.connect
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not is_path(path, self._path):
            await send({"type": "websocket.close", "code": CloseCode.POLICY})
            return
        if not self._host.is_accepting:
            await send({"type": "websocket.close", "code": _LATER})
            return
        chosen = choose_subprotocol(scope.get("subprotocols", ()))
        await send({"type": "websocket.accept", "subprotocol": chosen})
        framing = framing_of(chosen)
        wire = AsgiWire(framing, self._host.limits.send_buffer)
        connection = self._host.accept(wire, framing)
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(wire, framing, connection, receive))
                writer = group.create_task(wire.run(send))
                # Whichever ends first ends the other: the peer has left, or has been closed.
                await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
                reader.cancel()
                writer.cancel()
        finally:
            connection.lost()

    async def _read(
        self,
        wire: AsgiWire,
        framing: Framing,
        connection: DeviceConnection,
        receive: AsgiReceive,
    ) -> None:
        limit = self._host.limits.frame
        while True:
            await wire.may_read.wait()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                connection.closed_by_peer()
                return
            text = message.get("text")
            payload = message.get("bytes") or b"" if text is None else text.encode()
            if len(payload) > limit:
                connection.close(CloseCode.TOO_BIG, f"over {limit} bytes")
            else:
                pass_on(connection, framing, payload, is_text=text is not None)


class AsgiWire(Wire):
    """A `Wire` whose frames leave as ASGI messages; the server around it speaks the protocol."""

    def __init__(self, framing: Framing, send_buffer: int) -> None:
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._is_text = framing.encoding is Encoding.JSON
        self._send_buffer = send_buffer
        self._waiting: list[bytes] = []
        self._size = 0
        self._closing: AsgiMessage | None = None
        self._is_aborted = False
        self._has_work = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    async def run(self, send: AsgiSend) -> None:
        """Send what is written until the connection is closed or lost; cancelled by `abort`."""
        self._sender = asyncio.current_task()
        if self._is_aborted:
            return
        # A server says by an `OSError` that the peer is lost: nothing to complain about.
        with suppress(OSError):
            await self._send_until_closed(send)

    async def _send_until_closed(self, send: AsgiSend) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                for frames in waiting:
                    await self._send_all(frames, send)
                    self._size -= len(frames)
            if self._closing is not None:
                await send(self._closing)
                return

    def write(self, frames: bytes) -> bool:
        """See `Wire.write`."""
        if self._size > self._send_buffer:
            return False
        self._waiting.append(frames)
        self._size += len(frames)
        self._has_work.set()
        return True

    def close(self, code: int, reason: str) -> None:
        """See `Wire.close`."""
        self._closing = {"type": "websocket.close", "code": code, "reason": reason}
        self._has_work.set()

    def abort(self) -> None:
        """See `Wire.abort`."""
        self._is_aborted = True
        # A server may be waiting for the peer with what it was given last, and for long.
        if self._sender is not None:
            self._sender.cancel()

    def pause_reading(self) -> None:
        """See `Wire.pause_reading`."""
        self.may_read.clear()

    def resume_reading(self) -> None:
        """See `Wire.resume_reading`."""
        self.may_read.set()

    async def _send_all(self, frames: bytes, send: AsgiSend) -> None:
        rest = memoryview(frames)
        while rest:
            payload, rest = payload_of(rest)
            if self._is_text:
                await send({"type": "websocket.send", "text": str(payload, "utf-8")})
            else:
                await send({"type": "websocket.send", "bytes": bytes(payload)})
